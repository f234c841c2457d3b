internal import JSONBytes
internal import LogModel

// Documents: one object, `{"logs": […]}`, an array. Checked to their end before the first record is handed over.
extension BodyReading {
    /// A body that begins with an object: one record, `{"logs": […]}`, or the first of several.
    consuming func object(
        from start: Int,
        _ records: inout JSONRecordDecoder,
        _ format: TextFormat,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        var cursor = JSONCursor(view(start, body.count))
        records.begin()
        do throws(JSONSyntaxError) {
            try records.readTopObject(&cursor)
        } catch {
            if case .lines = format { return lines(from: start, &records, rules, accept) }
            return malformed(error, at: start)
        }
        let end = start + cursor.offset
        var next = end
        while next < body.count, Self.isBlank(body[next]) { next += 1 }
        guard next == body.count else {
            // Another object, or a new line: records one after another, of which any may be broken.
            if body[next] == 0x7B || body[end..<next].contains(0x0A) {
                return lines(from: start, &records, rules, accept)
            }
            if case .lines = format { return lines(from: start, &records, rules, accept) }
            return malformed(next, "unexpected text after the object")
        }
        if records.hasLogs {
            return elements(&records, rules, accept)
        }
        hand(records.finish(rules), records, accept)
        return .success(summary)
    }

    consuming func array(
        _ document: ByteView,
        at start: Int,
        _ records: inout JSONRecordDecoder,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        var cursor = JSONCursor(document)
        do throws(JSONSyntaxError) {
            try records.noteArray(&cursor)
            try cursor.finish()
        } catch {
            return malformed(error, at: start)
        }
        return elements(&records, rules, accept)
    }

    /// The records of an array that was checked before, so that no error can come after a record was handed over.
    private consuming func elements(
        _ records: inout JSONRecordDecoder,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        var place = 0
        let end = records.tape.count
        while place < end {
            records.begin()
            let element = records.tape[place]
            switch element.kind {
            case .object:
                place = records.takeObject(at: place)
                hand(records.finish(rules), records, accept)
            case .string:
                place += 1
                hand(records.finish(text: records.tape.value(element), rules), records, accept)
            case .array, .number, .bool, .null:
                place += 1
                summary.fail("a record must be an object")
            }
        }
        return elements(after: records.tape.rest, &records, rules, accept)
    }

    /// The records that did not fit the tape, if any.
    private consuming func elements(
        after rest: JSONCursor?,
        _ records: inout JSONRecordDecoder,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        guard var cursor = rest else { return .success(summary) }
        do throws(JSONSyntaxError) {
            while try cursor.nextElement() {
                records.begin()
                switch cursor.peek() {
                case .object:
                    try records.readObject(&cursor)
                    hand(records.finish(rules), records, accept)
                case .string:
                    hand(records.finish(text: try cursor.value(), rules), records, accept)
                case .array, .number, .bool, .null, nil:
                    _ = try cursor.value()
                    summary.fail("a record must be an object")
                }
            }
        } catch {
            assertionFailure("a checked array is not JSON: \(error)")
        }
        return .success(summary)
    }
}
