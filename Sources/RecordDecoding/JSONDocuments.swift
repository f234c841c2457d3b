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
            try records.readObject(&cursor, isTop: true)
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
        if let logs = records.logs {
            return elements(of: logs, &records, rules, accept)
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
        do throws(JSONSyntaxError) {
            try JSONValidator.validate(document)
        } catch {
            return malformed(error, at: start)
        }
        return elements(of: document, &records, rules, accept)
    }

    /// The records of an array that was checked before, so that no error can come after a record was handed over.
    private consuming func elements(
        of array: ByteView,
        _ records: inout JSONRecordDecoder,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        var cursor = JSONCursor(array)
        do throws(JSONSyntaxError) {
            try cursor.enterArray()
            while try cursor.nextElement() {
                records.begin()
                switch cursor.peek() {
                case .object:
                    try records.readObject(&cursor, isTop: false)
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
