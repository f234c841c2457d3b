import LogModel
import Testing

@testable import LogboomCommand

struct TailTests {
    private static let stream = Array(
        ": keep-alive\n\ndata: one\n\nevent: x\ndata:two\nid: 7\n\r\ndata: a\r\ndata: b\r\n\r\n\ndata\n\ndata: \n\ndata: cut off"
            .utf8
    )
    private static let events = ["one", "two", "a\nb", ""].map { Array($0.utf8) }

    @Test func `events are the same however the stream is cut`() {
        for pieceCount in 1...Self.stream.count {
            var events = EventStream()
            var taken: [[UInt8]] = []
            var rest = Self.stream[...]
            while !rest.isEmpty {
                taken += events.take(Array(rest.prefix(pieceCount)))
                rest = rest.dropFirst(pieceCount)
            }
            #expect(taken == Self.events, "pieces of \(pieceCount)")
        }
    }

    @Test func `an event beyond the bound is left out and the next one is taken`() {
        var events = EventStream()
        let long = [UInt8](repeating: 0x78, count: EventStream.byteCountMax + 1)
        #expect(events.take(Array("data: ".utf8) + long + Array("\n\ndata: next\n\n".utf8)) == [Array("next".utf8)])
    }

    private static func printer(isJSON: Bool = false) -> TailPrinter {
        TailPrinter(isJSON: isJSON, style: Style(isColored: false)) { _ in 3600 }
    }

    @Test func `a record is one line, and messages line up`() {
        var printer = Self.printer()
        let first =
            #"{"ts":"2025-01-15T11:03:04Z","level":"ERROR","source":"auth-service","host":"pi","message":"no\nway"}"#
        let second = #"{"ts":"2025-01-15T11:03:05Z","level":"INFO","source":"db","message":"\u001b[31mred"}"#
        #expect(printer.text(Array(first.utf8)) == "12:03:04 ERROR auth-service  no\\nway\n")
        #expect(printer.text(Array(second.utf8)) == "12:03:05 INFO  db            red\n")
    }

    @Test func `what is no record is shown all the same, as JSON left out`() {
        var printer = Self.printer()
        #expect(printer.text(Array("not json\u{1B}[2J\n".utf8)) == "not json\\n\n")
        #expect(printer.text(Array("{}".utf8)) == "--:--:-- -     -  \n")
        #expect(printer.text([0xFF]) == "\u{FFFD}\n")
        var json = Self.printer(isJSON: true)
        #expect(json.text(Array("not json".utf8)).isEmpty)
        #expect(json.text(Array(#"{ "message" : "a\u009b" }"#.utf8)) == "{\"message\":\"a\\u009b\"}\n")
    }
}
