import ArgumentParser
import JSONBytes
import LogModel

/// `logboom top`: the patterns, most frequent first.
struct Top: ParsableCommand {
    enum Sort: String, ExpressibleByArgument, CaseIterable {
        case count
        case lastSeen = "last_seen"
        case firstSeen = "first_seen"
    }

    static let configuration = CommandConfiguration(
        abstract: "Show the patterns, most frequent first.",
        discussion: """
            EXAMPLES
              logboom top --since -1h              of the last hour
              logboom top --level error --limit 10
              logboom top --sort first_seen        what is new
              logboom top --json | jq '.patterns[].pattern'
            """
    )

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Only what was seen since: RFC 3339, -30m, -1h, -2d, today, yesterday.", valueName: "time")
    )
    var since: String?
    @Option(help: "This level and above: trace, debug, info, notice, warn, error, fatal.")
    var level: String?
    @Option(help: "Only this source.")
    var source: String?
    @Option(help: ArgumentHelp("Only patterns that contain this text.", valueName: "text"))
    var search: String?
    @Option(help: "Order.")
    var sort: Sort = .count
    @Option(help: ArgumentHelp("Patterns at most, 1 to 1000.", valueName: "number"))
    var limit = 20
    @Flag(help: "Print the daemon's JSON.")
    var json = false
    @Option(help: "Colour the levels.")
    var color: ColorChoice = .auto
    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit is a number from 1 to 1000") }
        if let since, DateText.current.since(since) == nil {
            throw ValidationError(
                "--since is a date such as 2025-01-15T10:30:00Z, a span such as -30m, -1h or -2d, today or yesterday"
            )
        }
        _ = try LevelOption.word(level)
    }

    func run() throws {
        try reporting {
            let client = try daemon.connect()
            let answer = try client.get("/v1/patterns", query: query(DateText.current))
            guard answer.status == 200 else {
                throw client.refusal("/v1/patterns", status: answer.status, json: answer.json)
            }
            if json {
                Output.standard.writeJSON(answer.bytes)
                return
            }
            let style = Style(isColored: Output.standard.isColored(color))
            let lines = PatternTable.lines(
                answer.json,
                dates: .current,
                width: Output.standard.columnCount(),
                style: style
            )
            let notes = try SuppressedReport.lines(client.get("/stats").json, width: Output.standard.columnCount())
            Output.standard.write((lines + notes).joined(separator: "\n") + "\n")
        }
    }

    func query(_ dates: DateText) throws -> [(name: String, value: String)] {
        var query: [(name: String, value: String)] = []
        if let since, let start = dates.since(since) { query.append(("since", start.rfc3339)) }
        if let word = try LevelOption.word(level) { query.append(("level", word)) }
        if let source { query.append(("source", source)) }
        if let search { query.append(("q", search)) }
        return query + [("sort", sort.rawValue), ("limit", String(limit))]
    }
}

/// The `--level` option.
enum LevelOption {
    /// The daemon's word for what the person typed.
    static func word(_ text: String?) throws(ValidationError) -> String? {
        guard var text else { return nil }
        guard let severity = text.withUTF8({ Severity(word: $0) }) else {
            throw ValidationError("--level is one of trace, debug, info, notice, warn, error, fatal")
        }
        return severity.name.description.lowercased()
    }
}

/// Who is too fast: below the table, because a flood explains the first row of it.
enum SuppressedReport {
    /// Floods that are named; the rest is in `/stats`.
    static let lineCountMax = 3

    /// Nothing when nobody was too fast since the daemon's start, or when it does not say.
    static func lines(_ stats: JSONValue, width: Int?) -> [String] {
        let suppressed = stats["suppressed"]
        guard let count = suppressed?["records"]?.integer, count > 0 else { return [] }
        let heading =
            "\(count) records came faster than RATE_LIMIT since the start, and are counted without samples and attributes:"
        let entries = (suppressed?["patterns"]?.array ?? []).prefix(lineCountMax).map { entry in
            let source = entry["source"]?.string ?? ""
            let name = DisplayText.clean(source.isEmpty ? "(no source)" : source, widthMax: 40)
            let records = entry["records"]?.integer.map(String.init) ?? "-"
            return "  \(records) of \(name): " + DisplayText.clean(entry["pattern"]?.string ?? "-")
        }
        return [""] + ([heading] + entries).map { DisplayText.clean($0, widthMax: width) }
    }
}

/// The answer of `GET /v1/patterns` as a table.
enum PatternTable {
    /// Missing and strange members are shown as `-`: the daemon may be older or newer than this program.
    static func lines(_ answer: JSONValue, dates: DateText, width: Int?, style: Style) -> [String] {
        let patterns = answer["patterns"]?.array ?? []
        guard !patterns.isEmpty else {
            return ["No patterns yet: the open batch shows after logboom flush; logboom status tells what came in."]
        }
        // One piece at a time: Swift 6.2.3 gives up on the types of all of them at once.
        let rows = patterns.map { pattern -> [String] in
            let count = pattern["count"]?.integer.map { String($0) }
            let names = ["level", "source", "pattern"].map { pattern[$0]?.string }
            let age = pattern["last_seen"]?.string.flatMap(DateText.rfc3339).map(dates.age)
            return ([count] + names + [age]).map { $0 ?? "-" }
        }
        let table = Table(
            columns: [
                Table.Column(title: "COUNT", alignment: .right, widthMax: 20),
                Table.Column(title: "LEVEL", widthMax: 6),
                Table.Column(title: "SOURCE", widthMax: 20),
                Table.Column(title: "PATTERN", widthMax: nil),
                Table.Column(title: "LAST SEEN", alignment: .right, widthMax: 9),
            ],
            rows: rows
        )
        return table.lines(width: width) { cell, row, column in
            guard let row else { return style.header(cell) }
            return column == 1 ? style.level(cell, named: rows[row][1]) : cell
        }
    }
}
