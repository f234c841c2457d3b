import JSONBytes
import LogModel
import Testing

@testable import LogboomCommand

struct PatternsReportTests {
    private static let dates = DateText(now: Timestamp(nanoseconds: 0)) { _ in 3600 }

    private func report(_ lines: [(text: String, time: Int64?)]) -> PatternsReport {
        var counter = PatternCounter(patternCountMax: 100)
        for (text, time) in lines {
            var text = text
            text.withUTF8 {
                var record = LogRecord(message: $0)
                record.timestamp = time.map { Timestamp(nanoseconds: $0 * 1_000_000_000) }
                _ = counter.count(record)
            }
        }
        var totals = PatternsTotals()
        totals.recordCount = lines.count
        totals.lineCount = lines.count
        totals.byteCount = 1234
        totals.duration = .milliseconds(500)
        return PatternsReport(patterns: counter.finish(), totals: totals, inputs: [])
    }

    private func texts(_ selection: PatternsReport.Selection) -> [String] {
        selection.patterns.map { String(decoding: $0.text, as: UTF8.self) }
    }

    private static let lines: [(String, Int64?)] = [
        ("b", nil), ("c", nil), ("a", nil), ("c", nil), ("b", nil), ("b", nil),
    ]

    @Test(arguments: [
        (PatternsCommand.Sort.count, ["b", "c", "a"]), (.pattern, ["a", "b", "c"]), (.first, ["a", "c", "b"]),
        (.last, ["b", "c", "a"]),
    ])
    func `patterns come in the order asked for`(sort: PatternsCommand.Sort, expected: [String]) {
        #expect(texts(report(Self.lines).selection(minCount: 1, sort: sort, limit: nil)) == expected)
    }

    @Test func `stamps go before places, and what has none comes last`() {
        let report = report([("old", 10), ("new", 30), ("none", nil), ("middle", 20)])
        #expect(texts(report.selection(minCount: 1, sort: .first, limit: nil)) == ["new", "middle", "old", "none"])
    }

    @Test(
        arguments: [(1, nil, 3, 0), (2, nil, 2, 0), (1, 2, 2, 1), (4, 2, 0, 0), (1, 3, 3, 0)] as [(Int, Int?, Int, Int)]
    )
    func `the least count and the limit choose`(minCount: Int, limit: Int?, shown: Int, leftOut: Int) {
        let selection = report(Self.lines).selection(minCount: minCount, sort: .count, limit: limit)
        #expect(selection.patterns.count == shown)
        #expect(selection.leftOutCount == leftOut)
    }

    @Test func `the table shows what is known, and a summary`() {
        let report = report([("[error] disk 1", 1_736_937_005), ("[error] disk 2", 1_736_937_006), ("idle", nil)])
        let selection = report.selection(minCount: 1, sort: .count, limit: nil)
        #expect(
            report.lines(selection, width: nil, style: Style(isColored: false), dates: Self.dates) == [
                "COUNT  SHARE  LEVEL  FIRST           LAST            PATTERN",
                "    2  66.7%  ERROR  01-15 11:30:05  01-15 11:30:06  [error] disk <NUM>",
                "    1  33.3%  -      -               -               idle",
                "", "3 records, 2 patterns; 1.23 kB in 0.50 s, 6 lines/s",
            ]
        )
    }

    @Test(arguments: [40, 60, 80, 120])
    func `no line of the table is wider than the terminal`(width: Int) {
        let report = report([(String(repeating: "long words ", count: 40), 1), ("[error] x", 5)])
        let selection = report.selection(minCount: 1, sort: .count, limit: nil)
        let table = report.lines(selection, width: width, style: Style(isColored: false), dates: Self.dates).prefix(3)
        for line in table { #expect(DisplayText.width(line) <= max(width, 73), "\(line)") }
    }

    @Test func `the document has totals, files and patterns, and nothing in it that a terminal obeys`() throws {
        let report = report([("\u{1B}[2J\u{202E}red \u{07}1", nil), ("\u{1B}[2J\u{202E}red \u{07}2", 100)])
        let text = DisplayText.cleanJSON(report.json(report.selection(minCount: 1, sort: .count, limit: nil)))
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || $0.value == 0x202E })
        let json = try JSONValue.parse(Array(text.utf8))
        #expect(json["totals"]?["records"]?.integer == 2)
        let pattern = try #require(json["patterns"]?.array?.first)
        #expect(pattern["id"]?.string?.count == 16)
        #expect(pattern["count"]?.integer == 2)
        #expect(pattern["first"]?.string == "1970-01-01T00:01:40.000000Z")
        #expect(pattern["pattern"]?.string?.contains("\u{202E}red") == true)
        #expect(pattern["sample"]?.string == "\u{202E}red \u{07}1")
    }

    @Test func `what was not counted as it came is said`() {
        var report = report([("a", nil)])
        #expect(report.remarks().isEmpty)
        report.totals.cutLineCount = 1
        report.totals.textLineCount = 2
        report.totals.withoutMessageCount = 3000
        #expect(
            report.remarks() == [
                "1 line longer than 64 KiB: counted by the beginning",
                "2 lines not of the file's kind: counted as plain text",
                "3,000 journal entries without a message: not counted",
            ]
        )
    }

    @Test(arguments: [
        (0.0, "B", "0 B"), (999, "B", "999 B"), (999.6, "B", "1.00 kB"), (1234, "B", "1.23 kB"),
        (99_940, "B", "99.9 kB"),
        (99_960, "B", "100 kB"), (999_600, "B", "1.00 MB"), (1.62e6, "lines/s", "1.62 M lines/s"),
        (5, "lines/s", "5 lines/s"),
        (2e15, "B", "2000 TB"),
    ])
    func `figures have three digits`(value: Double, unit: String, text: String) {
        #expect(Figures.short(value, unit) == text)
    }

    @Test(arguments: [(0, 5, "0.0%"), (1, 3, "33.3%"), (5, 5, "100.0%"), (1, 100_000, "<0.1%"), (0, 0, "0.0%")])
    func `a share that is not nothing never reads as nothing`(part: Int, whole: Int, text: String) {
        #expect(Figures.share(part, of: whole) == text)
    }

    @Test(arguments: [5, 20, 40, 80, 200])
    func `the progress bar never fills the last column`(width: Int) {
        var bar = ProgressBar(width: width)
        for total in [nil, 0, 1000] as [Int?] {
            bar.byteCountTotal = total
            for byteCount in [0, 1, 500, 1000, 2000] {
                let line = bar.line(byteCount: byteCount, lineCount: byteCount / 10, elapsed: .seconds(2))
                #expect(DisplayText.width(line) < width)
            }
        }
    }

    @Test func `the progress bar tells share, rate and time left`() {
        var bar = ProgressBar(width: 80)
        bar.byteCountTotal = 4_000_000
        #expect(
            bar.line(byteCount: 1_000_000, lineCount: 10_000, elapsed: .seconds(2))
                == "[=========                             ] 25%  5.00 k lines/s  500 kB/s  6s left"
        )
        bar.byteCountTotal = nil
        #expect(
            bar.line(byteCount: 1_000_000, lineCount: 10_000, elapsed: .seconds(2))
                == "10,000 lines  5.00 k lines/s  500 kB/s"
        )
    }
}
