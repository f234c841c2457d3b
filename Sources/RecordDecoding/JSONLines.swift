internal import JSONBytes
internal import LogModel

// NDJSON: objects one after another, each on its own.
extension BodyReading {
    /// Objects one after another, each normally on a line of its own. A line that is no object fails alone. An object may
    /// also go over several lines or share one, as long as nothing else stands beside it.
    consuming func lines(
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
                try records.readObject(&cursor)
            } catch {
                problem = error
            }
            if let first = problem, body[position] == 0x7B, first.offset == end - position, end < body.count,
                mayJoinLines
            {
                records.begin()
                cursor = JSONCursor(view(position, body.count))
                do throws(JSONSyntaxError) {
                    try records.readObject(&cursor)
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
}
