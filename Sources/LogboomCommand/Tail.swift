import ArgumentParser
import JSONBytes
import LogModel
import Synchronization

/// `logboom tail`: records as they come.
struct Tail: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show records as they come, until Ctrl-C.",
        discussion: """
            EXAMPLES
              logboom tail --level error
              logboom tail --source auth --json | jq .message
            """
    )

    @Option(help: "This level and above: trace, debug, info, notice, warn, error, fatal.")
    var level: String?
    @Option(help: "Only this source.")
    var source: String?
    @Flag(help: "Print each record as one line of JSON.")
    var json = false
    @Option(help: "Colour the levels.")
    var color: ColorChoice = .auto
    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
        _ = try LevelOption.word(level)
    }

    func run() throws {
        try reporting {
            let client = try daemon.connect()
            var query: [(name: String, value: String)] = []
            if let word = try LevelOption.word(level) { query.append(("level", word)) }
            if let source { query.append(("source", source)) }
            let printer = TailPrinter(
                isJSON: json,
                style: Style(isColored: Output.standard.isColored(color)),
                secondsEastOfUTC: Clock.secondsEastOfUTC
            )
            // Pieces come on the event loop's thread, one after the other.
            let stream = Mutex((events: EventStream(), printer: printer, isReaderGone: false))
            try client.stream("/v1/tail", query: query) { bytes in
                stream.withLock { state in
                    let text = state.events.take(bytes).map { state.printer.text($0) }.joined()
                    state.isReaderGone = !text.isEmpty && !Output.standard.write(text)
                    return !state.isReaderGone
                }
            }
            guard stream.withLock(\.isReaderGone) else {
                throw CommandFailure(
                    status: .unavailable,
                    message: "logboomd ended the stream; it was probably stopped"
                )
            }
        }
    }
}

/// Takes server-sent events out of a stream that comes in pieces (WHATWG HTML, 9.2.6 "Interpreting an event stream"): the
/// `data` of each event; comments and other fields are passed over.
struct EventStream {
    /// A line or an event longer than this is left out: records are far below it.
    static let byteCountMax = 4 << 20

    private var line: [UInt8] = []
    private var data: [UInt8]?
    private var isLineTooLong = false
    private var lastWasReturn = false

    /// The data of the events that `bytes` completes, in order. Linear.
    mutating func take(_ bytes: [UInt8]) -> [[UInt8]] {
        var events: [[UInt8]] = []
        for byte in bytes {
            let isLineEnd = byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
            // CR, LF and CR LF all end one line.
            if byte == UInt8(ascii: "\n"), lastWasReturn {
                lastWasReturn = false
                continue
            }
            lastWasReturn = byte == UInt8(ascii: "\r")
            if !isLineEnd {
                if line.count < Self.byteCountMax { line.append(byte) } else { isLineTooLong = true }
                continue
            }
            if let event = endLine() { events.append(event) }
        }
        return events
    }

    private mutating func endLine() -> [UInt8]? {
        defer {
            line.removeAll(keepingCapacity: true)
            isLineTooLong = false
        }
        if line.isEmpty {
            defer { data = nil }
            return data
        }
        let name = Array("data:".utf8)
        guard !isLineTooLong, line.starts(with: name) else { return nil }
        var value = line[name.count...]
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        guard var collected = data else {
            data = Array(value)
            return nil
        }
        if collected.count + value.count < Self.byteCountMax {
            collected.append(UInt8(ascii: "\n"))
            collected += value
            data = collected
        }
        return nil
    }
}

/// Writes the events of `/v1/tail` for a person or a program.
struct TailPrinter: Sendable {
    var isJSON: Bool
    var style: Style
    var secondsEastOfUTC: @Sendable (Timestamp) -> Int
    /// As wide as the widest source so far, so that messages mostly line up; at most ``sourceWidthMax`` columns.
    private var sourceWidth = 0

    static let sourceWidthMax = 20

    init(isJSON: Bool, style: Style, secondsEastOfUTC: @escaping @Sendable (Timestamp) -> Int) {
        self.isJSON = isJSON
        self.style = style
        self.secondsEastOfUTC = secondsEastOfUTC
    }

    /// One line with its line end. An event that is not JSON is shown as it is, cleaned: better odd than lost.
    mutating func text(_ event: [UInt8]) -> String {
        let record: JSONValue
        do throws(JSONSyntaxError) {
            record = try JSONValue.parse(event)
        } catch {
            return isJSON ? "" : DisplayText.clean(String(decoding: event, as: UTF8.self)) + "\n"
        }
        if isJSON { return DisplayText.cleanJSON(record.bytes) + "\n" }
        let dates = DateText(now: Timestamp(nanoseconds: 0), secondsEastOfUTC: secondsEastOfUTC)
        let time = record["ts"]?.string.flatMap(DateText.rfc3339).map(dates.time) ?? "--:--:--"
        let level = DisplayText.clean(record["level"]?.string ?? "-", widthMax: 6)
        let source = DisplayText.clean(record["source"]?.string ?? "-", widthMax: Self.sourceWidthMax)
        let message = DisplayText.clean(record["message"]?.string ?? "")
        sourceWidth = max(sourceWidth, DisplayText.width(source))
        func padding(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - DisplayText.width(text)))
        }
        return "\(time) \(style.level(level, named: level))\(padding(level, 6))\(source)\(padding(source, sourceWidth))"
            + "  \(message)\n"
    }
}
