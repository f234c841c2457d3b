import ArgumentParser
import JSONBytes

/// `logboom dead-letters`: what PostgreSQL or the analytics node will never take, for a person.
struct DeadLetters: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "Look at what was refused for good, send it again, or remove it.",
        discussion: """
            What a database refuses for its content is set aside with the reason; all else goes on. Once the reason is mended (a \
            rule changed, a column widened), replay sends it again: it is counted once.

            Exit status: 0 done, 1 the daemon did not do it, 64 wrong arguments, 69 no daemon there.

            EXAMPLES
              logboom dead-letters               what there is
              logboom dead-letters show 3        what is in it
              logboom dead-letters replay 3 4
              logboom dead-letters replay --all
              logboom dead-letters drop 3
            """,
        subcommands: [List.self, Show.self, Replay.self, Drop.self],
        defaultSubcommand: List.self
    )

    static let path = "/v1/dead-letters"

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List them, oldest first.")

        @Option(help: ArgumentHelp("Only those after this id.", valueName: "id"))
        var after = 0
        @Option(help: ArgumentHelp("At most so many, 1 to 1000.", valueName: "number"))
        var limit = 100
        @Flag(help: "Print the daemon's JSON.")
        var json = false
        @OptionGroup var daemon: DaemonOptions

        func validate() throws {
            guard (1...1000).contains(limit) else { throw ValidationError("--limit is a number from 1 to 1000") }
            guard after >= 0 else { throw ValidationError("--after is the id of a dead letter") }
        }

        func run() throws {
            try reporting {
                let client = try daemon.connect()
                let answer = try DeadLetters.list(client, after: after, limit: limit)
                if json {
                    Output.standard.writeJSON(answer.bytes)
                    return
                }
                let lines = DeadLetterReport.list(answer.json, dates: .current, width: Output.standard.columnCount())
                Output.standard.write(lines.joined(separator: "\n") + "\n")
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what is in one.")

        @Argument(help: "Its id.")
        var id: Int
        @Flag(help: "Print the daemon's JSON.")
        var json = false
        @Option(help: "Colour the levels.")
        var color: ColorChoice = .auto
        @OptionGroup var daemon: DaemonOptions

        func validate() throws {
            guard id > 0 else { throw ValidationError("an id is a number from 1 on") }
        }

        func run() throws {
            try reporting {
                let client = try daemon.connect()
                let answer = try client.get("\(DeadLetters.path)/\(id)")
                guard answer.status == 200 else { throw DeadLetters.failure(client, id, answer) }
                if json {
                    Output.standard.writeJSON(answer.bytes)
                    return
                }
                let lines = DeadLetterReport.content(
                    answer.json,
                    width: Output.standard.columnCount(),
                    style: Style(isColored: Output.standard.isColored(color))
                )
                Output.standard.write(lines.joined(separator: "\n") + "\n")
            }
        }
    }

    /// Which ones: ids, or all, said outright.
    struct Selection: ParsableArguments {
        @Argument(help: "Their ids.")
        var ids: [Int] = []
        @Flag(help: "All there are.")
        var all = false

        func validate() throws {
            guard all != !ids.isEmpty else { throw ValidationError("name ids, or say --all") }
            guard ids.allSatisfy({ $0 > 0 }) else { throw ValidationError("an id is a number from 1 on") }
        }

        /// All there are now: none that is set aside meanwhile, or one that is refused again would be sent again for ever.
        func resolve(_ client: DaemonClient) throws -> [Int] {
            guard all else { return ids }
            var found: [Int] = []
            while true {
                let answer = try DeadLetters.list(client, after: found.last ?? 0, limit: 1000)
                let page = (answer.json["dead_letters"]?.array ?? []).compactMap { $0["id"]?.integer }
                found += page
                if page.count < 1000 { return found }
            }
        }
    }

    struct Replay: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send them again, to the sink that refused them.",
            discussion: "What is refused again is set aside again, under a new id."
        )

        @OptionGroup var selection: Selection
        @Flag(help: "Print one line of JSON for each.")
        var json = false
        @OptionGroup var daemon: DaemonOptions

        func run() throws {
            try reporting {
                try DeadLetters.change(selection, daemon, json: json, "sent again") {
                    client,
                    id throws(CommandFailure) in
                    try client.post("\(DeadLetters.path)/\(id)/replay", timeout: DaemonClient.timeout)
                }
            }
        }
    }

    struct Drop: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove them for good.")

        @OptionGroup var selection: Selection
        @Flag(help: "Print one line of JSON for each.")
        var json = false
        @OptionGroup var daemon: DaemonOptions

        func run() throws {
            try reporting {
                try DeadLetters.change(selection, daemon, json: json, "removed") { client, id throws(CommandFailure) in
                    try client.delete("\(DeadLetters.path)/\(id)", timeout: DaemonClient.timeout)
                }
            }
        }
    }

    private static func list(_ client: DaemonClient, after: Int, limit: Int) throws(CommandFailure)
        -> DaemonClient.Answer
    {
        let query = [(name: "after", value: String(after)), (name: "limit", value: String(limit))]
        let answer = try client.get(path, query: query)
        guard answer.status == 200 else { throw client.refusal(path, status: answer.status, json: answer.json) }
        return answer
    }

    /// Does `call` for each, and goes on past those that are refused; fails at the end if any was.
    private static func change(
        _ selection: Selection,
        _ daemon: DaemonOptions,
        json: Bool,
        _ done: String,
        _ call: (DaemonClient, Int) throws(CommandFailure) -> DaemonClient.Answer
    ) throws {
        let client = try daemon.connect()
        let ids = try selection.resolve(client)
        var doneCount = 0
        var recordCount = 0
        var failures: [CommandFailure] = []
        for id in ids {
            let answer = try call(client, id)
            guard answer.status == 200 else {
                failures.append(failure(client, id, answer))
                // The state file refuses, and would the others: no need to hear it a thousand times.
                if answer.status >= 500 { break }
                continue
            }
            doneCount += 1
            recordCount += answer.json["records"]?.integer ?? 0
            if json { Output.standard.writeJSON(answer.bytes) }
        }
        if !json, failures.isEmpty || doneCount > 0 {
            let sentence =
                ids.isEmpty
                ? "There are no dead letters." : "\(doneCount) dead letters, \(recordCount) records: \(done)."
            Output.standard.write(sentence + "\n")
        }
        for failure in failures.dropLast() { Output.error.write("logboom: \(failure.message)\n") }
        if let last = failures.last { throw last }
    }

    private static func failure(_ client: DaemonClient, _ id: Int, _ answer: DaemonClient.Answer) -> CommandFailure {
        // A 404 with a detail of ours is about the id; without one there is an older daemon, or something else.
        guard answer.status == 404 || answer.status == 409, let detail = answer.json["detail"]?.string else {
            return client.refusal("\(path)/\(id)", status: answer.status, json: answer.json)
        }
        return CommandFailure(
            status: .failed,
            message: "dead letter \(id): \(DisplayText.clean(detail, widthMax: 300))"
        )
    }
}

/// The answers of `/v1/dead-letters` for a person. Everything in them is foreign text; what is missing is shown as `-`.
enum DeadLetterReport {
    static func list(_ answer: JSONValue, dates: DateText, width: Int?) -> [String] {
        let letters = answer["dead_letters"]?.array ?? []
        guard !letters.isEmpty else { return ["No dead letters: everything was taken."] }
        // One piece at a time: Swift 6.2.3 gives up on the types of all of them at once.
        let rows = letters.map { letter -> [String] in
            let id = letter["id"]?.integer.map { String($0) }
            let age = letter["time"]?.string.flatMap(DateText.rfc3339).map(dates.age)
            let records = letter["records"]?.integer.map { String($0) }
            return [id, age, letter["lane"]?.string, records, letter["reason"]?.string].map { $0 ?? "-" }
        }
        let table = Table(
            columns: [
                Table.Column(title: "ID", alignment: .right, widthMax: 12),
                Table.Column(title: "SET ASIDE", alignment: .right, widthMax: 10),
                Table.Column(title: "LANE", widthMax: 8),
                Table.Column(title: "RECORDS", alignment: .right, widthMax: 12),
                Table.Column(title: "REASON", widthMax: nil),
            ],
            rows: rows
        )
        var lines = table.lines(width: width)
        if let total = answer["total"]?.integer, total > letters.count, let last = letters.last?["id"]?.integer {
            lines.append("\(letters.count) of \(total); the next ones: logboom dead-letters list --after \(last)")
        }
        return lines
    }

    static func content(_ letter: JSONValue, width: Int?, style: Style) -> [String] {
        func text(_ name: String) -> String { DisplayText.clean(letter[name]?.string ?? "-", widthMax: nil) }
        func number(_ name: String) -> String { letter[name]?.integer.map(String.init) ?? "-" }
        var lines = [
            "dead letter  \(number("id"))",
            "set aside    \(text("time")), lane \(text("lane"))",
            "reason       \(text("reason"))",
            "records      \(number("records")) in \(number("pattern_count")) patterns, \(number("bytes")) bytes",
            "batch        \(text("stream"))/\(number("sequence"))",
        ]
        if letter["readable"]?.bool == false {
            lines.append("             It is damaged: it cannot be sent again, and what follows is what could be read.")
        }
        let patterns = letter["patterns"]?.array ?? []
        guard !patterns.isEmpty else { return lines }
        let rows = patterns.map { pattern in
            [
                pattern["count"]?.integer.map(String.init) ?? "-",
                pattern["level"]?.string ?? "-",
                pattern["source"]?.string ?? "-",
                pattern["pattern"]?.string ?? "-",
            ]
        }
        let table = Table(
            columns: [
                Table.Column(title: "COUNT", alignment: .right, widthMax: 20),
                Table.Column(title: "LEVEL", widthMax: 6),
                Table.Column(title: "SOURCE", widthMax: 20),
                Table.Column(title: "PATTERN", widthMax: nil),
            ],
            rows: rows
        )
        lines.append("")
        lines += table.lines(width: width) { cell, row, column in
            guard let row else { return style.header(cell) }
            return column == 1 ? style.level(cell, named: rows[row][1]) : cell
        }
        return lines
    }
}
