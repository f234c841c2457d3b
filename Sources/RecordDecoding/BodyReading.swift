internal import JSONBytes
internal import LogModel

/// One walk over one body; see ``BodyDecoder``. Which form the body has is decided in ``run(_:format:rules:accept:)`` only.
struct BodyReading {
    let body: ByteView
    private var summary = BodySummary()

    init(body: ByteView) {
        self.body = body
    }

    typealias Outcome = Result<BodySummary, MalformedBody>
    typealias Accept = (LogRecord) -> RecordRefusal?

    consuming func run(
        _ records: inout JSONRecordDecoder,
        format: TextFormat,
        rules: RecordRules,
        accept: Accept
    ) -> Outcome {
        // A byte order mark is no JSON, but Windows tools write it.
        var start = body.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while start < body.count, Self.isBlank(body[start]) { start += 1 }
        guard start < body.count else { return malformed(0, "empty body") }

        switch (body[start], format) {
        case (0x5B, .plain) where !beginsArray(start):
            return plainLines(from: start, &records, rules, accept)
        case (0x5B, _):
            return array(view(start, body.count), at: start, &records, rules, accept)
        case (0x7B, _):
            return object(from: start, &records, format, rules, accept)
        case (_, .plain):
            return plainLines(from: start, &records, rules, accept)
        case (_, .lines):
            return lines(from: start, &records, rules, accept)
        case (_, .unknown):
            return malformed(start, "expected an object, an array or lines of JSON")
        }
    }

    // MARK: Forms

    /// A body that begins with an object: one record, `{"logs": […]}`, or the first of several.
    private mutating func object(
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

    private mutating func array(
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
    private mutating func elements(
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

    /// Objects one after another, each normally on a line of its own. A line that is no object fails alone. An object may
    /// also go over several lines or share one, as long as nothing else stands beside it.
    private mutating func lines(
        from start: Int,
        _ records: inout JSONRecordDecoder,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        var position = start
        var broken = 0
        // Looking for an object's end beyond its line costs a walk over the rest when there is none: allowed to fail once,
        // so that the whole stays linear.
        var mayJoinLines = true
        while true {
            while position < body.count, Self.isBlank(body[position]) { position += 1 }
            guard position < body.count else { break }
            var end = lineEnd(from: position)
            records.begin()
            var cursor = JSONCursor(view(position, end))
            var problem: JSONSyntaxError?
            do throws(JSONSyntaxError) {
                try records.readObject(&cursor, isTop: false)
            } catch {
                problem = error
            }
            if let first = problem, body[position] == 0x7B, first.offset == end - position, end < body.count,
                mayJoinLines
            {
                records.begin()
                cursor = JSONCursor(view(position, body.count))
                do throws(JSONSyntaxError) {
                    try records.readObject(&cursor, isTop: false)
                    problem = nil
                    end = lineEnd(from: position + cursor.offset)
                } catch {
                    mayJoinLines = false
                }
            }
            if let problem {
                let isValue = body[position] != 0x7B && (try? JSONValidator.validate(view(position, end))) != nil
                summary.fail(
                    isValue ? "a record must be an object" : problem.reason,
                    offset: position + problem.offset
                )
                broken += 1
                position = end
                continue
            }
            let next = position + cursor.offset
            if let other = body[next..<end].first(where: { !Self.isBlank($0) }), other != 0x7B {
                summary.fail("unexpected text after the object", offset: next)
                broken += 1
                position = end
            } else {
                hand(records.finish(rules), records, accept)
                position = next
            }
        }
        if broken == summary.received, let first = summary.errors.first {
            return malformed(first.offset ?? start, first.reason)
        }
        return .success(summary)
    }

    private mutating func plainLines(
        from start: Int,
        _ records: inout JSONRecordDecoder,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        var position = start
        while position < body.count {
            let end = lineEnd(from: position)
            var textEnd = end
            if textEnd > position, body[textEnd - 1] == 0x0D { textEnd -= 1 }
            let line = view(position, textEnd)
            if !JSONRecordDecoder.isBlank(line) {
                records.begin()
                let text = JSONItem(kind: .string, hasEscapes: false, bytes: line)
                hand(records.finish(text: text, rules), records, accept)
            }
            position = end + 1
        }
        return .success(summary)
    }

    // MARK: Pieces

    /// Hands the record over, unless it is none, and counts what became of it.
    @inline(__always)
    private mutating func hand(_ problem: StaticString?, _ records: borrowing JSONRecordDecoder, _ accept: Accept) {
        if let problem {
            summary.fail(problem)
        } else if let refusal = accept(records.record) {
            summary.fail(refusal.reason)
        } else {
            summary.received += 1
            summary.accepted += 1
            if records.wasCut { summary.truncated += 1 }
            if records.attributesWereDropped { summary.attributesDropped += 1 }
        }
    }

    /// Whether the bracket at `start` may open an array of records: `[2026-03-01 …] text` is a line of plain text.
    private func beginsArray(_ start: Int) -> Bool {
        guard let next = body[(start + 1)...].first(where: { !Self.isBlank($0) }) else { return true }
        return next == 0x7B || next == 0x22 || next == 0x5D || next == 0x5B
    }

    private func lineEnd(from start: Int) -> Int {
        var end = start
        while end < body.count, body[end] != 0x0A { end += 1 }
        return end
    }

    private func view(_ start: Int, _ end: Int) -> ByteView {
        ByteView(rebasing: body[start..<end])
    }

    private func malformed(_ error: JSONSyntaxError, at start: Int) -> Outcome {
        malformed(start + error.offset, error.reason)
    }

    private func malformed(_ offset: Int, _ reason: StaticString) -> Outcome {
        .failure(MalformedBody(offset: offset, reason: reason.description))
    }

    @inline(__always)
    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }
}
