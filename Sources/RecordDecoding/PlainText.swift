internal import JSONBytes
internal import LogModel
internal import Patterns

// Plain text: a record a line, and the lines of a stack trace one record.
extension BodyReading {
    consuming func plainText(
        from start: Int,
        _ records: inout JSONRecordDecoder,
        _ rules: RecordRules,
        _ accept: Accept
    ) -> Outcome {
        var text = MultilineText(view(start, body.count))
        while let lines = text.next() {
            records.begin()
            hand(records.finish(text: JSONItem(kind: .string, hasEscapes: false, bytes: lines), rules), records, accept)
        }
        return .success(summary)
    }
}
