import JSONBytes
import LogModel
import Testing

@testable import LogboomCommand

struct DeadLetterReportTests {
    private let dates = DateText(now: Timestamp(nanoseconds: 1_767_225_600_000_000_000), secondsEastOfUTC: { _ in 0 })

    private func value(_ json: String) throws -> JSONValue { try JSONValue.parse(Array(json.utf8)) }

    @Test func `the list says what was refused and why, and where it goes on`() throws {
        let answer = try value(
            #"""
            {"total":3,"dead_letters":[
            {"id":7,"time":"2025-12-31T23:00:00Z","lane":"store","records":12,"reason":"23514: refused\u001b[2J"},
            {"id":9,"lane":"forward"}]}
            """#
        )
        let lines = DeadLetterReport.list(answer, dates: dates, width: nil)
        #expect(lines.count == 4 && lines[0].contains("REASON"))
        #expect(lines[1].contains("7") && lines[1].contains("12") && lines[1].contains("23514: refused"))
        #expect(!lines.joined().contains("\u{1B}"))
        #expect(lines[2].contains("forward") && lines[2].contains("-"))
        #expect(lines[3] == "2 of 3; the next ones: logboom dead-letters list --after 9")
        let nothing = DeadLetterReport.list(try value(#"{"total":0,"dead_letters":[]}"#), dates: dates, width: 80)
        #expect(nothing == ["No dead letters: everything was taken."])
    }

    @Test func `what is in a dead letter is shown cleaned, and damage is said`() throws {
        let letter = try value(
            #"""
            {"id":7,"time":"2025-12-31T23:00:00Z","lane":"store","records":12,"bytes":90,"reason":"22P05\n: no",
            "stream":"00000000000000ff","sequence":3,"pattern_count":1,"merges":0,"readable":false,
            "patterns":[{"count":12,"level":"ERROR","source":"a\u202eb","pattern":"x\u0007y"}]}
            """#
        )
        let lines = DeadLetterReport.content(letter, width: 80, style: Style(isColored: false))
        #expect(lines.contains("records      12 in 1 patterns, 90 bytes"))
        #expect(lines.contains("batch        00000000000000ff/3"))
        #expect(lines.contains { $0.contains("damaged") })
        let text = lines.joined(separator: "\n")
        #expect(!text.contains("\u{7}") && !text.contains("\u{202E}") && text.contains(#"22P05\n: no"#))
        #expect(DeadLetterReport.content(try value("{}"), width: 80, style: Style(isColored: false)).count == 5)
    }
}
