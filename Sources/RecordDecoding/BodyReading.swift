internal import JSONBytes
internal import LogModel

/// One walk over one body: what became of its records so far, and the pieces that the forms of a body share. The forms are
/// extensions, one file each; which one a body has is decided by its ``RecordProtocol``.
struct BodyReading {
    let body: ByteView
    var summary = BodySummary()

    init(body: ByteView) {
        self.body = body
    }

    typealias Outcome = Result<BodySummary, MalformedBody>
    typealias Accept = (LogRecord) -> RecordRefusal?

    /// Hands the record over, unless it is none, and counts what became of it.
    @inline(__always)
    mutating func hand(_ problem: StaticString?, _ records: borrowing JSONRecordDecoder, _ accept: Accept) {
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

    func lineEnd(from start: Int) -> Int {
        var end = start
        while end < body.count, body[end] != 0x0A { end += 1 }
        return end
    }

    func view(_ start: Int, _ end: Int) -> ByteView {
        ByteView(rebasing: body[start..<end])
    }

    func malformed(_ error: JSONSyntaxError, at start: Int) -> Outcome {
        malformed(start + error.offset, error.reason)
    }

    func malformed(_ offset: Int, _ reason: StaticString) -> Outcome {
        .failure(MalformedBody(offset: offset, reason: reason.description))
    }

    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }
}
