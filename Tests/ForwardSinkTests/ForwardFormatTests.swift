import Foundation
import LogModel
import PipelineTesting
import Ports
import Testing

/// The body as docs/formats/forward.md says it, read with Foundation and zlib.
@Suite(.timeLimit(.minutes(10)))
struct ForwardFormatTests {
    private func lines(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    @Test func `the document's example is what is sent, byte for byte`() async throws {
        let bench = try Bench()
        let series = Series(
            pattern: "User <ID> logged in",
            count: 41,
            samples: ["User 7 logged in"],
            attributes: [(key: "room", values: [("kitchen", 40)], other: 1)],
            latency: LatencySummary(count: 2, sum: 7.5, minimum: 2.5, maximum: 5),
            severity: .warn,
            classification: Classification(category: .auth, tags: .failedLogin)
        )
        let merge = TemplateMerge(from: 255, to: 0x0BAA_01EA_F8A0_F70A, template: Array("User <ID> logged in".utf8))
        let plain = Series(pattern: "ok", count: 1, source: "")
        #expect(await bench.apply([makeBatch([series, plain], merges: [merge])], after: 6).answer == .applied)
        let request = try #require(bench.receiver.requests.last)
        let document = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().appending(path: "../../docs/formats/forward.md").standardizedFileURL
        let example = try String(contentsOf: document, encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix("    {\"type\":") }.map { $0.dropFirst(4) + "\n" }.joined()
        #expect(request.text == example)
    }

    @Test func `the headers say what the span line says`() async throws {
        let bench = try Bench()
        #expect(await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0).answer == .applied)
        let request = try #require(bench.receiver.requests.last)
        #expect(request.method == "POST")
        #expect(request.path == "/v1/patterns")
        #expect(request.headers["content-type"] == "application/x-ndjson")
        #expect(request.headers["content-encoding"] == "gzip")
        #expect(request.headers["logboom-node"] == bench.node.text)
        #expect(request.headers["logboom-stream"] == "0123456789abcdef")
        #expect(request.headers["logboom-previous"] == "0")
        #expect(request.headers["logboom-last"] == "1")
        #expect(request.headers["idempotency-key"] == "\(bench.node.text)/0123456789abcdef/1")
        #expect(request.headers["user-agent"] == "logboomd/\(logboomVersion)")
        #expect(request.headers["content-length"] == String(request.body.count))
        // RFC 1952: magic, method deflate.
        #expect(request.body.prefix(3) == [0x1F, 0x8B, 8])
    }

    @Test func `hostile text survives the way`() async throws {
        let bench = try Bench()
        let texts = [
            "quote \" backslash \\ slash /", "tab\tnewline\nreturn\r", "\u{1}\u{8}\u{C}\u{1B}[31m\u{1F}\u{7F}",
            "</script><!--", "é ü 漢字 🪵 \u{10FFFF}", "line\u{2028}para\u{2029}", "{\"type\":\"span\"}\n{}", "",
            String(repeating: "\"\\", count: 4000), "a\u{301}\u{200D}\u{FEFF}", "\u{FFFD}",
        ]
        let batch = makeBatch(
            texts.enumerated().map { index, text in
                Series(
                    pattern: "\(index) \(text)",
                    count: index + 1,
                    samples: [text, text],
                    attributes: [(key: "k\(text)", values: [(text, 1), ("x", 2)], other: 3)],
                    source: "s\(text)"
                )
            }
        )
        #expect(await bench.apply([batch], after: 0).answer == .applied)
        #expect(bench.receiver.complaints.isEmpty)
        let series = try lines(try #require(bench.receiver.requests.last).text).dropFirst(2)
        #expect(series.count == texts.count)
        for (index, (object, text)) in zip(series, texts).enumerated() {
            #expect(object["pattern"] as? String == "\(index) \(text)")
            #expect(object["source"] as? String == "s\(text)")
            #expect(object["samples"] as? [String] == [text, text])
            let attribute = (object["attributes"] as? [String: Any])?["k\(text)"] as? [String: Any]
            #expect((attribute?["values"] as? [String: Int])?[text] == 1)
            #expect(attribute?["other"] as? Int == 3)
        }
    }

    @Test func `a span of a million payload bytes arrives whole`() async throws {
        let bench = try Bench()
        var chance = SeededGenerator(of: "forward format")
        var batches: [Batch] = []
        var expected = 0
        while batches.reduce(0, { $0 + $1.payload.count }) < 1 << 20 {
            let series = (0..<500).map { index in
                Series(
                    pattern: "service <ID> said \(UInt64.random(in: 0...(.max), using: &chance)) at <TIME>",
                    count: index + 1,
                    samples: ["service 12 said \(UInt64.random(in: 0...(.max), using: &chance)) at 10:00"]
                )
            }
            expected += 500 * 501 / 2
            batches.append(makeBatch(series))
        }
        #expect(await bench.apply(batches, after: 0).answer == .applied, "seed \(chance.seed)")
        #expect(bench.receiver.totalCount == expected)
        #expect(bench.receiver.complaints.isEmpty)
        let request = try #require(bench.receiver.requests.last)
        #expect(request.body.count < request.text.utf8.count / 2)
    }

    @Test func `numbers that JSON cannot say become null and stop nothing`() async throws {
        let bench = try Bench()
        let series = Series(
            pattern: "a",
            count: 1,
            latency: LatencySummary(count: 1, sum: .infinity, minimum: .nan, maximum: 1e300)
        )
        #expect(await bench.apply([makeBatch([series])], after: 0).answer == .applied)
        let latency = try lines(try #require(bench.receiver.requests.last).text)[2]["latency"] as? [String: Any]
        #expect(latency?["sum"] is NSNull)
        #expect(latency?["min"] is NSNull)
        #expect(latency?["max"] as? Double == 1e300)
    }

    @Test func `extreme dates are written, not trapped on`() async throws {
        let bench = try Bench()
        for nanoseconds in [Int64.min / 2, -1, 0, Int64.max / 2] {
            let batch = makeBatch([Series(pattern: "a", count: 1)], start: Timestamp(nanoseconds: nanoseconds))
            let previous = bench.receiver.applied(node: bench.node.text, stream: bench.stream.text)
            #expect(await bench.apply([batch], after: previous).answer == .applied)
        }
        #expect(bench.receiver.complaints.isEmpty)
    }
}
