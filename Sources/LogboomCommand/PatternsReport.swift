import JSONBytes
import LogModel

/// The counted patterns for a person or a program.
struct PatternsReport {
    var patterns: [CountedPattern]
    var totals: PatternsTotals
    var inputs: [PatternsInput]

    init(patterns: CountedPatterns, totals: PatternsTotals, inputs: [PatternsInput]) {
        self.patterns = patterns.patterns
        self.totals = totals
        self.inputs = inputs
    }

    /// Patterns that are shown, and how many were asked for but left out by the limit.
    struct Selection {
        var patterns: [CountedPattern]
        var leftOutCount: Int
    }

    /// The patterns with at least `minCount` records in the order asked for, at most `limit`; `nil` is no limit.
    func selection(minCount: Int, sort: PatternsCommand.Sort, limit: Int?) -> Selection {
        let chosen = patterns.filter { $0.count >= minCount }.sorted { left, right in
            switch sort {
            case .count where left.count != right.count: left.count > right.count
            case .pattern, .count: left.text.lexicographicallyPrecedes(right.text)
            case .first: Self.isLater(left.first, left.tally.firstPlace, right.first, right.tally.firstPlace)
            case .last: Self.isLater(left.last, left.tally.lastPlace, right.last, right.tally.lastPlace)
            }
        }
        guard let limit, chosen.count > limit else { return Selection(patterns: chosen, leftOutCount: 0) }
        return Selection(patterns: Array(chosen.prefix(limit)), leftOutCount: chosen.count - limit)
    }

    /// By stamp, those without one after all others; then by place in the input.
    private static func isLater(_ left: Timestamp?, _ leftPlace: Int, _ right: Timestamp?, _ rightPlace: Int) -> Bool {
        switch (left, right) {
        case (let left?, let right?) where left != right: left > right
        case (nil, .some): false
        case (.some, nil): true
        case (nil, nil), (.some, .some): leftPlace > rightPlace
        }
    }

    /// Patterns told apart; `<other>` is none.
    var patternCount: Int { patterns.count(where: { $0.id != nil }) }
    /// Records under `<other>`.
    var otherCount: Int { patterns.first { $0.id == nil }?.count ?? 0 }

    // MARK: For people

    /// The table and the summary.
    func lines(_ selection: Selection, width: Int?, style: Style, dates: DateText = .current) -> [String] {
        let hasLevels = selection.patterns.contains { $0.level != nil }
        let hasTimes = selection.patterns.contains { $0.first != nil }
        var columns = [
            Table.Column(title: "COUNT", alignment: .right, widthMax: 20),
            Table.Column(title: "SHARE", alignment: .right, widthMax: 6),
        ]
        if hasLevels { columns.append(Table.Column(title: "LEVEL", widthMax: 6)) }
        if hasTimes {
            columns.append(Table.Column(title: "FIRST", widthMax: 14))
            columns.append(Table.Column(title: "LAST", widthMax: 14))
        }
        columns.append(Table.Column(title: "PATTERN", widthMax: nil))
        let rows = selection.patterns.map { pattern in
            var row = [String(pattern.count), Figures.share(pattern.count, of: totals.recordCount)]
            if hasLevels { row.append(pattern.level ?? "-") }
            if hasTimes {
                row.append(pattern.first.map { Self.date($0, dates) } ?? "-")
                row.append(pattern.last.map { Self.date($0, dates) } ?? "-")
            }
            return row + [Self.visible(pattern.text)]
        }
        let table = Table(columns: columns, rows: rows)
        var lines =
            rows.isEmpty
            ? ["No pattern has so many records."]
            : table.lines(width: width) { cell, row, column in
                guard let row else { return style.header(cell) }
                return hasLevels && column == 2 ? style.level(cell, named: rows[row][2]) : cell
            }
        if selection.leftOutCount > 0 {
            lines.append("… and \(Figures.counted(selection.leftOutCount, "more pattern")); --limit 0 shows all")
        }
        return lines + ["", summary()]
    }

    /// As text whose control sequences are seen: `ESC [ 2 J` is masked as `ESC [ <ID>`, and what a terminal would take for a
    /// sequence then is part of the placeholder, so leaving it out (``DisplayText/clean(_:widthMax:)``) would spoil that.
    static func visible(_ bytes: [UInt8]) -> String {
        var output = String.UnicodeScalarView()
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            switch scalar {
            case "\u{1B}": output.append(contentsOf: "\\x1b".unicodeScalars)
            case "\u{9B}": output.append(contentsOf: "\\x9b".unicodeScalars)
            default: output.append(scalar)
            }
        }
        return String(output)
    }

    /// `12 records in 10 lines, 3 patterns; 1.20 kB in 0.01 s, 1.62 M lines/s`.
    func summary() -> String {
        let seconds = max(totals.duration / .seconds(1), 0.000_001)
        var text = Figures.counted(totals.recordCount, "record")
        if totals.lineCount != totals.recordCount { text += " in " + Figures.counted(totals.lineCount, "line") }
        text += ", " + Figures.counted(patternCount, "pattern")
        text += "; \(Figures.short(Double(totals.byteCount), "B")) in \(Figures.fixed(seconds, digitCount: 2)) s, "
        text += Figures.short(Double(totals.lineCount) / seconds, "lines/s")
        return totals.wasInterrupted ? text + "; stopped by Ctrl-C, the rest is not in it" : text
    }

    /// What the reader of the counts should know, a sentence each.
    func remarks() -> [String] {
        var sentences: [String] = []
        if otherCount > 0 {
            sentences.append(
                "\(Figures.counted(otherCount, "record")) did not fit under the patterns told apart and count under "
                    + "<other>; --max-patterns takes more"
            )
        }
        if totals.cutLineCount > 0 {
            sentences.append(
                "\(Figures.counted(totals.cutLineCount, "line")) longer than 64 KiB: counted by the beginning"
            )
        }
        if totals.textLineCount > 0 {
            sentences.append(
                "\(Figures.counted(totals.textLineCount, "line")) not of the file's kind: counted as plain text"
            )
        }
        if totals.withoutMessageCount > 0 {
            sentences.append(
                "\(Figures.counted(totals.withoutMessageCount, "journal entry", plural: "journal entries")) without a "
                    + "message: not counted"
            )
        }
        return sentences
    }

    /// `01-15 10:30:05` in local time: the year is in the JSON, and a table is narrow.
    private static func date(_ time: Timestamp, _ dates: DateText) -> String {
        let local = time.nanoseconds.addingReportingOverflow(Int64(dates.secondsEastOfUTC(time)) * 1_000_000_000)
        let text = Timestamp(nanoseconds: local.partialValue).rfc3339
        return "\(text.dropFirst(5).prefix(5)) \(text.dropFirst(11).prefix(8))"
    }

    // MARK: For programs

    /// One document: `totals`, `files`, `patterns`.
    func json(_ selection: Selection) -> [UInt8] {
        var writer = JSONWriter(byteCountEstimate: 1024 + selection.patterns.count * 512)
        writer.beginObject()
        writer.key("totals")
        writeTotals(&writer)
        writer.key("files")
        writer.beginArray()
        for input in inputs {
            writer.beginObject()
            writer.key("name")
            writer.string(input.name)
            writer.key("format")
            if let format = input.format { writer.string(format.rawValue) } else { writer.null() }
            writer.key("lines")
            writer.integer(input.lineCount)
            writer.endObject()
        }
        writer.endArray()
        writer.key("patterns")
        writer.beginArray()
        for pattern in selection.patterns { write(pattern, &writer) }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        return writer.bytes
    }

    private func writeTotals(_ writer: inout JSONWriter) {
        let seconds = totals.duration / .seconds(1)
        writer.beginObject()
        for (key, value) in [
            ("bytes", totals.byteCount), ("lines", totals.lineCount), ("records", totals.recordCount),
            ("patterns", patternCount), ("other", otherCount), ("empty_lines", totals.emptyLineCount),
            ("cut_lines", totals.cutLineCount), ("lines_as_text", totals.textLineCount),
            ("entries_without_message", totals.withoutMessageCount), ("secrets_replaced", totals.redactionCount),
            ("unreadable_files", totals.unreadableCount),
        ] {
            writer.key(text: key)
            writer.integer(value)
        }
        writer.key("seconds")
        writer.number((seconds * 1e6).rounded() / 1e6)
        writer.key("lines_per_second")
        writer.integer(Int(Double(totals.lineCount) / max(seconds, 1e-6)))
        writer.key("interrupted")
        writer.bool(totals.wasInterrupted)
        writer.endObject()
    }

    private func write(_ pattern: CountedPattern, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("id")
        if let id = pattern.id { writer.string(Figures.hex(id)) } else { writer.null() }
        writer.key("pattern")
        pattern.text.withUnsafeBufferPointer { writer.string(bytes: $0) }
        writer.key("count")
        writer.integer(pattern.count)
        writer.key("share")
        writer.number((Double(pattern.count) / Double(max(1, totals.recordCount)) * 1e6).rounded() / 1e6)
        writer.key("levels")
        writer.beginObject()
        for index in 1..<LevelIndex.count where pattern.tally.levels[index] > 0 {
            writer.key(text: LevelIndex.name(index) ?? "")
            writer.integer(pattern.tally.levels[index])
        }
        writer.endObject()
        if !pattern.sources.isEmpty {
            writer.key("sources")
            writer.beginObject()
            for source in pattern.sources.sorted(by: { $0.count > $1.count }) {
                source.name.withUnsafeBufferPointer { writer.key(bytes: $0) }
                writer.integer(source.count)
            }
            writer.endObject()
        }
        writer.key("first")
        if let first = pattern.first { writer.string(first.rfc3339) } else { writer.null() }
        writer.key("last")
        if let last = pattern.last { writer.string(last.rfc3339) } else { writer.null() }
        writer.key("sample")
        pattern.tally.sample.withUnsafeBufferPointer { writer.string(bytes: $0) }
        writer.endObject()
    }
}

extension Figures {
    /// `1 line`, `2,000 lines`.
    static func counted(_ count: Int, _ noun: String, plural: String? = nil) -> String {
        count == 1 ? "1 \(noun)" : "\(StatusReport.grouped(count)) \(plural ?? noun + "s")"
    }

    /// A pattern's id: 16 digits.
    static func hex(_ id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
