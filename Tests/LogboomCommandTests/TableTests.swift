import JSONBytes
import LogModel
import Settings
import Testing

@testable import LogboomCommand

struct TableTests {
    private static let dates = DateText(now: DateText.rfc3339("2025-01-15T10:30:45Z") ?? Timestamp(nanoseconds: 0)) {
        _ in 0
    }
    private static let plain = Style(isColored: false)

    private static func answer(_ rows: [(Int, String, String, String)]) -> JSONValue {
        let patterns = rows.map { count, level, source, pattern in
            JSONValue.object([
                .init(key: "count", value: .integer(count)), .init(key: "level", value: .string(level)),
                .init(key: "source", value: .string(source)), .init(key: "pattern", value: .string(pattern)),
                .init(key: "last_seen", value: .string("2025-01-15T10:30:42Z")),
            ])
        }
        return .object([.init(key: "patterns", value: .array(patterns))])
    }

    @Test func `patterns are a table that a person can read`() {
        let answer = Self.answer([
            (12044, "INFO", "auth-service", "User <ID> logged in"), (7, "ERROR", "db", "Query took <TIME>s"),
        ])
        #expect(
            PatternTable.lines(answer, dates: Self.dates, width: nil, style: Self.plain) == [
                "COUNT  LEVEL  SOURCE        PATTERN              LAST SEEN",
                "12044  INFO   auth-service  User <ID> logged in     3s ago",
                "    7  ERROR  db            Query took <TIME>s      3s ago",
            ]
        )
    }

    @Test(arguments: [40, 60, 80, 120, 200])
    func `no line is wider than the terminal`(width: Int) {
        let answer = Self.answer([
            (Int.max, "INFO", String(repeating: "source ", count: 20), String(repeating: "日本語 ", count: 100)),
            (1, "ERROR", "x", "short"), (2, "WARN", "\u{1B}[2Jy", "two\nlines\u{202E}"),
        ])
        let lines = PatternTable.lines(answer, dates: Self.dates, width: max(width, 84), style: Self.plain)
        #expect(lines.allSatisfy { DisplayText.width($0) <= max(width, 84) })
        let narrow = PatternTable.lines(answer, dates: Self.dates, width: width, style: Self.plain)
        #expect(narrow.allSatisfy { DisplayText.width($0) <= max(width, 19 + 5 + 20 + 20 + 9 + 8) })
    }

    @Test func `without a terminal nothing is cut`() {
        let long = String(repeating: "x", count: 5000)
        let lines = PatternTable.lines(
            Self.answer([(1, "INFO", long, long)]),
            dates: Self.dates,
            width: nil,
            style: Self.plain
        )
        #expect(lines.last?.contains("\(long)  \(long)") == true)
    }

    @Test func `colour takes no room and stands only around the level`() {
        let answer = Self.answer([(1, "ERROR", "a", "b"), (1, "INFO", "a", "b")])
        let colored = PatternTable.lines(answer, dates: Self.dates, width: 80, style: Style(isColored: true))
        let plain = PatternTable.lines(answer, dates: Self.dates, width: 80, style: Self.plain)
        #expect(colored[1].contains("\u{1B}[31mERROR\u{1B}[0m"))
        #expect(colored.map { DisplayText.clean($0) } == plain)
    }

    @Test func `a hostile level, source or pattern brings no escape sequence to the terminal`() {
        let evil = "\u{1B}[31m\u{1B}]0;x\u{07}\u{9B}2J\r\n\u{202E}"
        let lines = PatternTable.lines(
            Self.answer([(1, evil, evil, evil)]),
            dates: Self.dates,
            width: 80,
            style: Self.plain
        )
        #expect(lines.count == 2)
        #expect(lines.joined().unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
    }

    @Test(arguments: [
        #"{}"#, #"{"patterns":[]}"#, #"{"patterns":null}"#, #"[]"#, #"{"patterns":{}}"#,
    ])
    func `no patterns is said in a sentence`(json: String) throws {
        let answer = try JSONValue.parse(Array(json.utf8))
        let lines = PatternTable.lines(answer, dates: Self.dates, width: 80, style: Self.plain)
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("No patterns yet") == true)
    }

    @Test func `members that are missing or of another kind are shown as a dash`() throws {
        let json = #"{"patterns":[{},{"count":"many","level":3,"source":null,"pattern":[],"last_seen":"soon"},7]}"#
        let lines = PatternTable.lines(
            try JSONValue.parse(Array(json.utf8)),
            dates: Self.dates,
            width: 80,
            style: Self.plain
        )
        #expect(lines.count == 4)
        #expect(lines.dropFirst().allSatisfy { $0.filter { $0 != " " } == "-----" })
    }

    @Test func `settings are a table with their origins`() throws {
        let flags = ["BATCH_SIZE=500", "POSTGRES_HOST=db", "POSTGRES_PASSWORD=hunter2"]
        let loaded = try SettingsLoader.load(SettingsLoader.Input(flags: flags, isRoot: true)).get()
        let lines = ConfigReport.lines(loaded, width: nil)
        #expect(lines.count == loaded.values.count + 1)
        #expect(lines.contains { $0.split(separator: " ") == ["BATCH_SIZE", "500", "flag"] })
        #expect(lines.contains { $0.split(separator: " ") == ["POSTGRES_PASSWORD", "(set)", "flag"] })
        #expect(!lines.joined().contains("hunter2"))
        let json = ConfigReport.json(.success(loaded))
        #expect(!json.contains("hunter2"))
        let document = try JSONValue.parse(Array(json.utf8))
        #expect(document["settings"]?.array?.count == loaded.values.count)
        #expect(document["errors"]?.array == [])
        #expect(document["warnings"]?.array?.count == 1)
    }
}
