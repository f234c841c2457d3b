import Delivery
import LogModel
import Pipeline
import Ports

/// Who sends: a few clients that post, wait for the answer, and post again; refused ones try again. Now and then somebody
/// asks for a flush.
enum SimulatedSenders {
    /// No store takes a record of this pattern.
    static let poison = "poison in the well at night"

    /// Words only, and no two of one length: nothing to mask, nothing to learn, so the patterns are known beforehand.
    static let messages = [
        "ready", "door open", "pump runs dry", "north window stays shut", "the kettle boils over again",
        "somebody left every light burning upstairs",
    ]

    struct Record {
        var message: String
        var severity: Severity
        var source: String

        var key: String {
            var key = ""
            Self.with(message, source) { message, source in key = BatchContent.key(message, severity, source) }
            return key
        }

        private static func with(_ message: String, _ source: String, _ body: (ByteView, ByteView) -> Void) {
            var (message, source) = (message, source)
            message.withUTF8 { message in source.withUTF8 { source in body(message, source) } }
        }

        func add(to chunk: inout SourceChunk) {
            Self.with(message, source) { message, source in
                var record = LogRecord(message: message)
                record.severity = severity
                record.source = source
                chunk.append(record, at: Timestamp(nanoseconds: 1_790_000_000 * 1_000_000_000))
            }
        }

        func fold(into collector: Collector) {
            Self.with(message, source) { message, source in
                var record = LogRecord(message: message)
                record.severity = severity
                record.source = source
                collector.fold(record)
            }
        }
    }

    /// Draws a request. Most have a source of their own, so that each can be followed; some share one, so that counts add up.
    static func request(_ number: Int, poison percent: Int, using generator: inout some RandomNumberGenerator)
        -> [Record]
    {
        let isShared = Int.random(in: 0..<4, using: &generator) == 0
        let source = isShared ? "shared" : "r\(number)"
        let count = Int.random(in: 1...(Int.random(in: 0..<10, using: &generator) == 0 ? 60 : 6), using: &generator)
        return (0..<count).map { _ in
            let isPoison = Int.random(in: 0..<100, using: &generator) < percent
            return Record(
                message: isPoison ? poison : messages.randomElement(using: &generator) ?? "ready",
                severity: Severity.allCases.randomElement(using: &generator) ?? .info,
                source: source
            )
        }
    }
}
