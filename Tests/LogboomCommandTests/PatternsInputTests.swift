import Glibc
import LogModel
import PipelineTesting
import Testing

@testable import LogboomCommand

struct PatternsInputTests {
    /// The lines a reader gives when `bytes` come in pieces through a pipe, and whether each was cut.
    private func lines(_ bytes: [UInt8], pieceCount: Int) throws -> [(text: [UInt8], wasCut: Bool)] {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { close(ends[0]) }
        var reader = LineReader()
        var found: [(text: [UInt8], wasCut: Bool)] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(pieceCount))
            rest = rest.dropFirst(pieceCount)
            // A pipe takes 64 KiB at least before it must be read (pipe(7)).
            try #require(write(ends[1], piece, piece.count) == piece.count)
            // As often as it takes: near the buffer's end a read is short.
            var readCount = 0
            while readCount < piece.count {
                let byteCount = reader.fill(from: ends[0]).byteCount
                try #require(byteCount > 0, "nothing was read")
                readCount += byteCount
                while let (line, wasCut) = reader.next() { found.append((Array(line), wasCut)) }
            }
        }
        close(ends[1])
        if case .end = reader.fill(from: ends[0]).0 {} else { Issue.record("no end") }
        if let line = reader.last() { found.append((Array(line), false)) }
        return found
    }

    @Test func `lines are the same however the input is cut`() throws {
        let input = Array("one\r\ntwo\n\n  \n\rthree\r\r\n".utf8) + [0x00, 0xFF, 0x0A] + Array("no end".utf8)
        let expected: [[UInt8]] = [
            Array("one".utf8), Array("two".utf8), [], Array("  ".utf8), Array("\rthree\r".utf8), [0x00, 0xFF],
            Array("no end".utf8),
        ]
        for pieceCount in 1...input.count {
            let found = try lines(input, pieceCount: pieceCount)
            #expect(found.map(\.text) == expected, "pieces of \(pieceCount)")
            #expect(found.allSatisfy { !$0.wasCut })
        }
    }

    @Test(arguments: [-1, 0, 1, 100_000])
    func `a line longer than the buffer is cut, and the next one is whole`(beyond: Int) throws {
        let long = [UInt8](repeating: 0x78, count: LineReader.byteCountMax + beyond)
        let found = try lines(Array("a\n".utf8) + long + Array("\nb\n".utf8), pieceCount: 1 << 16)
        #expect(found.map(\.text.count) == [1, min(long.count, LineReader.byteCountMax), 1])
        // A line that just fills the buffer cannot be told from a longer one before more is read.
        #expect(found.map(\.wasCut) == [false, beyond >= 0, false])
    }

    @Test func `a last line that is too long is cut and gives nothing more`() throws {
        let found = try lines([UInt8](repeating: 0x78, count: 3 * LineReader.byteCountMax), pieceCount: 1 << 16)
        #expect(found.map(\.wasCut) == [true])
    }

    @Test(arguments: [
        ("plain text", LineFormat.text), ("", .text), ("{ not json", .text), (#"{"a":1} and more"#, .text),
        ("[1,2]", .text), (#"{"message":"x"}"#, .ndjson), ("  {}", .ndjson),
        (#"{"MESSAGE":"x","__REALTIME_TIMESTAMP":"1"}"#, .journal), (#"{"__CURSOR":"s=1"}"#, .journal),
        (#"{"MESSAGE":"x","PRIORITY":"3"}"#, .ndjson),
    ])
    func `the first line tells what a file is`(line: String, format: LineFormat) {
        var line = line
        #expect(line.withUTF8 { LineFormat.detected(in: $0) } == format)
    }

    private struct Entry: Equatable {
        var message: [UInt8]
        var severity: Severity?
        var source = ""
        var host = ""
        var time: Int64?
    }

    private func entry(_ line: String) -> Entry? {
        var reader = JournalReader()
        var line = line
        return line.withUTF8 { line in
            guard case .record(let record) = reader.read(line) else { return nil }
            return Entry(
                message: Array(record.message),
                severity: record.severity,
                source: String(decoding: record.source, as: UTF8.self),
                host: String(decoding: record.host, as: UTF8.self),
                time: record.timestamp?.nanoseconds
            )
        }
    }

    @Test func `an entry of the journal is read with its level, source, host and time`() {
        let line =
            #"{"__CURSOR":"s=0","PRIORITY":"3","_SYSTEMD_UNIT":"ssh.service","SYSLOG_IDENTIFIER":"sshd","_HOSTNAME":"pi","#
            + #""MESSAGE":"a \"b\"\u00e9","__REALTIME_TIMESTAMP":"1700000000000001","_PID":"7"}"#
        #expect(
            entry(line)
                == Entry(
                    message: Array("a \"b\"é".utf8),
                    severity: .error,
                    source: "sshd",
                    host: "pi",
                    time: 1_700_000_000_000_001_000
                )
        )
    }

    @Test func `a message that is no text comes as its bytes, and one of several as the first`() {
        #expect(entry(#"{"MESSAGE":[104,0,255,10,105]}"#)?.message == [104, 0, 255, 10, 105])
        #expect(entry(#"{"MESSAGE":["one","two"]}"#)?.message == Array("one".utf8))
        #expect(entry(#"{"MESSAGE":[[104,105],"two"]}"#)?.message == Array("hi".utf8))
        #expect(entry(#"{"MESSAGE":"x","_SYSTEMD_UNIT":"a.service"}"#)?.source == "a.service")
    }

    @Test(arguments: [
        #"{"MESSAGE":null}"#, #"{"MESSAGE":""}"#, #"{"MESSAGE":[]}"#, #"{"MESSAGE":{}}"#, #"{"MESSAGE":[[[1]]]}"#,
        #"{"MESSAGE":[256,-1,true]}"#, "{}", "-- Reboot --", #"{"MESSAGE":"x""#, #"{"MESSAGE":"x"} y"#, "",
    ])
    func `what is no entry with a message gives no record`(line: String) {
        #expect(entry(line) == nil)
    }

    @Test(arguments: ["8", "x", "", "-1", "33"])
    func `a priority that does not exist is no level`(priority: String) {
        #expect(entry(#"{"MESSAGE":"x","PRIORITY":"\#(priority)"}"#)?.severity == nil)
    }

    @Test(arguments: ["", "x", "99999999999999999", "9999999999999999", "-5"])
    func `a stamp that does not exist is none`(stamp: String) {
        #expect(entry(#"{"MESSAGE":"x","__REALTIME_TIMESTAMP":"\#(stamp)"}"#)?.time == nil)
    }

    @Test func `fields longer than any journal writes stay within their bounds`() {
        let long = String(repeating: #"\u00e9"#, count: 100_000)
        let line =
            #"{"MESSAGE":"\#(long)","SYSLOG_IDENTIFIER":"\#(long)","_SYSTEMD_UNIT":"\#(long)","_HOSTNAME":"\#(long)"}"#
        let found = entry(line)
        #expect(found?.message.count == Limits.messageByteCountMax)
        #expect(found.map { $0.source.utf8.count <= Limits.nameByteCountMax && $0.host.utf8.count > 200 } == true)
        let twice = entry(#"{"MESSAGE":"\#(long)","MESSAGE":"\#(long)","MESSAGE":"x"}"#)
        #expect(twice?.message == Array("x".utf8))
    }
}
