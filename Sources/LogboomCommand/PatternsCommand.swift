import ArgumentParser
import Glibc

/// `logboom patterns`: what log files are made of, without the daemon.
struct PatternsCommand: ParsableCommand {
    enum Sort: String, ExpressibleByArgument, CaseIterable {
        case count, pattern, first, last
    }

    static let configuration = CommandConfiguration(
        commandName: "patterns",
        abstract: "Count the patterns of log files, most frequent first. Needs no daemon.",
        discussion: """
            EXAMPLES
              logboom patterns /var/log/syslog
              journalctl -b -o json | logboom patterns --min-count 10 -
              logboom patterns --json app.ndjson | jq '.patterns[0]'
              logboom patterns --test 'Failed password for root from 10.0.0.5 port 4242'

            A line is a record: plain text as it stands, its own date and host included; a JSON object (NDJSON, one \
            record a line); or an entry of journalctl -o json. The first line of each file tells which, and a line that is \
            not of its file's kind counts as plain text. Empty lines are not counted. Lines of text that \
            make up a stack trace (Python, Java, Node.js, Go, ...) are one record. What differs from line to line \
            becomes a placeholder such as <NUM>, <PATH> or <*>, and secrets become <REDACTED>. Every record counts under one \
            pattern, so the sum of the counts is the number of records.

            EXIT STATUS
              0 counted, 1 nothing to count, 64 usage, 66 a file could not be read (the others were counted), \
            74 no room for the temporary file of --each, 130 ended by Ctrl-C, which prints what was counted so far.
            """
    )

    @Argument(help: ArgumentHelp("Files to read; - or none: standard input.", valueName: "file"))
    var files: [String] = []
    @Option(help: "What a line is: text, ndjson or journal; by default told by each file's first line.")
    var format: LineFormat?
    @Option(help: ArgumentHelp("Only patterns with so many records.", valueName: "number"))
    var minCount = 1
    @Option(help: "Order: most frequent, by text, newest first, seen last first.")
    var sort: Sort = .count
    @Option(
        help: ArgumentHelp(
            "Patterns shown at most, 0 for all; by default 50 on a terminal, else all.",
            valueName: "number"
        )
    )
    var limit: Int?
    @Option(
        help: ArgumentHelp("Patterns told apart; records beyond count under <other>.", valueName: "number")
    )
    var maxPatterns = PatternCounter.patternCountDefault
    @Flag(help: "Print one JSON document.")
    var json = false
    @Flag(help: "Print the pattern of each line, in the lines' order, after all was read.")
    var each = false
    @Flag(
        inversion: .prefixedNo,
        help: "Whether the lines of a stack trace are one record, whose pattern is its headline."
    )
    var join = true
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Explain how this line becomes a pattern; with files, by what is learned from them first.",
            valueName: "line"
        )
    )
    var test: String?
    @Flag(help: "No progress bar, and no summary after --each.")
    var quiet = false
    @Option(help: "Colour the levels.")
    var color: ColorChoice = .auto

    /// Bounds of `--max-patterns`: each costs about 1 KiB.
    static let patternCountRange = 10...1_000_000
    /// Patterns on a terminal, unless `--limit` says otherwise.
    static let terminalLimit = 50

    func validate() throws {
        guard minCount >= 1 else { throw ValidationError("--min-count is a number from 1 on") }
        guard limit ?? 0 >= 0 else { throw ValidationError("--limit is a number from 0 on; 0 shows all") }
        guard Self.patternCountRange.contains(maxPatterns) else {
            throw ValidationError("--max-patterns is a number from 10 to 1000000")
        }
        guard !each || (!json && test == nil) else {
            throw ValidationError("--each prints lines of text: it goes neither with --json nor with --test")
        }
        guard files.filter({ $0 == "-" }).count < 2 else { throw ValidationError("- can be read once only") }
    }

    func run() throws {
        let style = Style(isColored: Output.standard.isColored(color))
        if files.isEmpty, test == nil, isatty(STDIN_FILENO) == 1 {
            throw ValidationError("name a file, or send lines: journalctl -o json | logboom patterns -")
        }
        var counting = try PatternsRun(
            patternCountMax: maxPatterns,
            format: format,
            keepsNumbers: each,
            joinsLines: join
        )
        let names = files.isEmpty && test == nil ? ["-"] : files
        let showsProgress = !quiet && Output.error.isTerminal
        Interruption.install()
        counting.readAll(names, progress: showsProgress ? ProgressBar(width: Output.error.columnCount() ?? 80) : nil)

        if let test {
            let explanation = counting.explain(Array(test.utf8))
            if json {
                Output.standard.writeJSON(explanation.json())
            } else {
                Output.standard.write(explanation.lines(style: style).joined(separator: "\n") + "\n")
            }
            return try end(counting.totals)
        }
        let patterns = counting.finish()
        let report = PatternsReport(patterns: patterns, totals: counting.totals, inputs: counting.inputs)
        let shown = report.selection(minCount: minCount, sort: sort, limit: limitInForce)
        if each {
            try counting.writeEach(patterns, to: Output.standard)
            if !quiet { Output.error.write(report.summary() + "\n") }
        } else if json {
            Output.standard.writeJSON(report.json(shown))
        } else if report.totals.recordCount > 0 {
            let lines = report.lines(shown, width: Output.standard.columnCount(), style: style)
            Output.standard.write(lines.joined(separator: "\n") + "\n")
        }
        for sentence in report.remarks() { Output.error.write("logboom: \(sentence)\n") }
        try end(counting.totals)
    }

    /// `nil`: all.
    private var limitInForce: Int? {
        switch limit {
        case 0: nil
        case .some(let limit): limit
        case nil: !json && Output.standard.isTerminal ? Self.terminalLimit : nil
        }
    }

    /// Ends the program with the status that the totals deserve; the worst comes first.
    private func end(_ totals: PatternsTotals) throws {
        // 128 + SIGINT, as shells count it.
        if totals.wasInterrupted { throw ExitCode(130) }
        // EX_NOINPUT of sysexits(3).
        if totals.unreadableCount > 0 { throw ExitCode(66) }
        if totals.recordCount == 0, test == nil {
            if totals.emptyLineCount == 0 { Output.error.write("logboom: nothing to count: no input\n") }
            throw ExitCode(1)
        }
    }
}
