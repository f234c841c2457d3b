import Delivery
import ForwardSink
import Foundation
import HTTPClient
import LogModel
import NIOPosix
import PipelineTesting
import Ports
import Testing

@Suite(.timeLimit(.minutes(10)))
struct ForwardDeliveryTests {
    // MARK: Exactly once

    @Test func `a span is applied once and every count arrives`() async throws {
        let bench = try Bench()
        let batches = [
            makeBatch([
                Series(pattern: "User <ID> logged in", count: 40), Series(pattern: "disk <PATH> full", count: 2),
            ]),
            makeBatch([Series(pattern: "User <ID> logged in", count: 1)]),
        ]
        #expect(await bench.apply(batches, after: 0).answer == .applied)
        #expect(bench.receiver.totalCount == 43)
        #expect(bench.receiver.perPatternCounts == ["User <ID> logged in": 41, "disk <PATH> full": 2])
        #expect(bench.receiver.applied(node: bench.node.text, stream: bench.stream.text) == 2)
        #expect(bench.receiver.complaints.isEmpty)
    }

    @Test func `the same span sent twice is counted once`() async throws {
        let bench = try Bench()
        let batch = makeBatch([Series(pattern: "a", count: 5)])
        #expect(await bench.apply([batch], after: 0).answer == .applied)
        #expect(await bench.apply([batch], after: 0).answer == .alreadyApplied(through: 1))
        #expect(bench.receiver.totalCount == 5)
        #expect(bench.receiver.conflictCount == 1)
    }

    @Test(arguments: [AnalyticsReceiver.Fault.closeAfterApplying, .cutAnswer])
    func `a lost answer is ambiguous and changes no count`(_ fault: AnalyticsReceiver.Fault) async throws {
        let bench = try Bench()
        let batch = makeBatch([Series(pattern: "a", count: 5)])
        bench.receiver.fail(next: 1, with: fault)
        #expect(await bench.apply([batch], after: 0).failureClass == .ambiguous)
        #expect(bench.receiver.totalCount == 5)
        #expect(await bench.apply([batch], after: 0).answer == .alreadyApplied(through: 1))
        #expect(bench.receiver.totalCount == 5)
    }

    @Test func `a larger span after a lost answer is told how far the first got`() async throws {
        let bench = try Bench()
        let batches = (1...5).map { makeBatch([Series(pattern: "p\($0)", count: $0)]) }
        bench.receiver.fail(next: 1, with: .closeAfterApplying)
        #expect(await bench.apply(Array(batches[..<2]), after: 0).failureClass == .ambiguous)
        #expect(await bench.apply(batches, after: 0).answer == .alreadyApplied(through: 2))
        #expect(await bench.apply(Array(batches[2...]), after: 2).answer == .applied)
        #expect(bench.receiver.totalCount == 15)
        #expect(bench.receiver.perPatternCounts.count == 5)
    }

    @Test func `two streams of a node do not know each other`() async throws {
        let bench = try Bench()
        let batch = makeBatch([Series(pattern: "a", count: 1)])
        let other = StreamID(rawValue: 9)
        #expect(await bench.apply([batch], after: 0).answer == .applied)
        #expect(await bench.apply([batch], after: 0, stream: other).answer == .applied)
        #expect(bench.receiver.totalCount == 2)
        #expect(bench.receiver.streams == ["0000000000000009", "0123456789abcdef"])
    }

    @Test func `over hundreds of faults every record is counted exactly once`() async throws {
        let bench = try Bench(callTimeout: .milliseconds(250))
        var chance = SeededGenerator(of: "forward faults")
        let seed = chance.seed
        var position: Int64 = 0
        var expected: [String: Int] = [:]
        for _ in 1...150 {
            let batches = (0..<Int.random(in: 1...3, using: &chance)).map { _ in
                let series = (0...Int.random(in: 0...4, using: &chance)).map { _ in
                    Series(
                        pattern: "p\(Int.random(in: 0...9, using: &chance))",
                        count: Int.random(in: 1...50, using: &chance)
                    )
                }
                for item in series { expected[item.pattern, default: 0] += item.count }
                return makeBatch(series)
            }
            var rest = batches[...]
            attempts: for attempt in 1... {
                try #require(attempt < 100, "seed \(seed)")
                if Int.random(in: 0...2, using: &chance) != 0 {
                    let faults: [AnalyticsReceiver.Fault] = [
                        .status(500), .status(429, retryAfterSeconds: 1), .status(503), .status(504), .closeUnapplied,
                        .closeAfterApplying, .cutAnswer, .slow(.milliseconds(5)), .raw("garbage\r\n\r\n"),
                    ]
                    bench.receiver.fail(next: 1, with: faults.randomElement(using: &chance) ?? .none)
                }
                // A fifth of the hangs a run would otherwise spend waiting is enough to meet the case.
                if Int.random(in: 0...50, using: &chance) == 0 { bench.receiver.fail(next: 1, with: .hang) }
                if Int.random(in: 0...9, using: &chance) == 0 { bench.receiver.closeConnections() }
                switch await bench.apply(Array(rest), after: position) {
                case .success(.applied):
                    position += Int64(rest.count)
                    break attempts
                case .success(.alreadyApplied(let through)):
                    rest = rest.dropFirst(Int(through - position))
                    position = through
                    if rest.isEmpty { break attempts }
                case .failure(let error):
                    let isExpected = error.failureClass == .transient || error.failureClass == .ambiguous
                    #expect(isExpected, "seed \(seed): \(error)")
                }
            }
        }
        #expect(bench.receiver.perPatternCounts == expected, "seed \(seed)")
        #expect(bench.receiver.totalCount == expected.values.reduce(0, +), "seed \(seed)")
        #expect(bench.receiver.complaints.isEmpty, "seed \(seed)")
    }

    // MARK: Failure classes

    @Test(arguments: [
        (400, FailureClass.poison), (413, .poison), (422, .poison),
        (401, .permanent), (403, .permanent), (404, .permanent), (405, .permanent), (410, .permanent),
        (415, .permanent), (301, .permanent), (307, .permanent),
        (408, .transient), (425, .transient), (429, .transient), (500, .transient), (501, .transient),
        (503, .transient), (507, .transient), (599, .transient), (502, .ambiguous), (504, .ambiguous),
    ])
    func `every status has its class`(_ status: Int, _ failureClass: FailureClass) async throws {
        let bench = try Bench()
        bench.receiver.fault = .status(status)
        let result = await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0)
        #expect(result.failureClass == failureClass)
        #expect(result.error?.code == String(status))
        #expect(result.error?.description.contains("127.0.0.1:\(bench.port): \(status)") == true)
        #expect(bench.receiver.totalCount == 0)
    }

    @Test(arguments: [200, 201, 202, 204])
    func `every success status means applied`(_ status: Int) async throws {
        let bench = try Bench()
        bench.receiver.fault = .status(status)
        #expect(await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0).answer == .applied)
    }

    @Test(arguments: [429, 503])
    func `a pause that the node asks for stands in the error`(_ status: Int) async throws {
        let bench = try Bench()
        bench.receiver.fault = .status(status, retryAfterSeconds: 17)
        let result = await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0)
        #expect(result.error?.description.hasSuffix("; retry after 17 s") == true)
    }

    @Test(arguments: ["200 OK", "400 Bad Request", "422 No"])
    func `a web page is never taken for an analytics node`(_ status: String) async throws {
        let bench = try Bench()
        let page = "<html>log in to the hotel's network</html>"
        bench.receiver.fault = .raw(
            "HTTP/1.1 \(status)\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: \(page.utf8.count)\r\n\r\n\(page)"
        )
        let result = await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0)
        #expect(result.failureClass == .permanent)
        #expect(result.error?.description.contains("hotel") == false)
    }

    @Test(arguments: [
        "", "{}", "[]", "null", "9", "{\"applied\":\"1\"}", "{\"applied\":-1}", "{\"applied\":1.5}", "{\"applied\":",
        "{\"applied\":99999999999999999999}", "{\"applied\":0}", "{\"applied\":4}",
    ])
    func `a conflict that does not say what is applied, or says what is none, is not believed`(_ body: String)
        async throws
    {
        let bench = try Bench()
        bench.receiver.fault = .raw("HTTP/1.1 409 Conflict\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        let result = await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 4)
        #expect(result.failureClass == .permanent)
    }

    @Test func `a conflict beyond the span's end is passed on as it is`() async throws {
        let bench = try Bench()
        bench.receiver.fault = .raw("HTTP/1.1 409 Conflict\r\nContent-Length: 15\r\n\r\n{\"applied\": 42}")
        let result = await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 4)
        #expect(result.answer == .alreadyApplied(through: 42))
    }

    @Test func `a node that is away is transient, and is served when it is back at the same port`() async throws {
        let bench = try Bench()
        let batch = makeBatch([Series(pattern: "a", count: 3)])
        #expect(await bench.apply([batch], after: 0).answer == .applied)
        bench.receiver.stop()
        // The first failure may be met on the kept connection, which is ambiguous; from then on nothing is begun.
        #expect(await eventually { await bench.apply([batch], after: 1).failureClass == .transient })
        #expect(await bench.apply([batch], after: 1).error?.code == "ECONNREFUSED")
        #expect(await probe(bench.sink) == false)
        try bench.receiver.start(port: bench.port)
        #expect(await probe(bench.sink))
        #expect(await bench.apply([batch], after: 1).answer == .applied)
        #expect(bench.receiver.totalCount == 6)
    }

    @Test func `no answer in time is ambiguous`() async throws {
        let bench = try Bench(callTimeout: .milliseconds(800))
        bench.receiver.fault = .hang
        let result = await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0)
        #expect(result.failureClass == .ambiguous)
        #expect(result.error?.code == "TIMEOUT")
    }

    @Test func `an answer that comes after the timeout changes no count`() async throws {
        let bench = try Bench(callTimeout: .milliseconds(80))
        let batch = makeBatch([Series(pattern: "a", count: 1)])
        bench.receiver.fail(next: 1, with: .slow(.milliseconds(200)))
        #expect(await bench.apply([batch], after: 0).failureClass == .ambiguous)
        #expect(await eventually { bench.receiver.totalCount == 1 })
        #expect(await eventually { await bench.apply([batch], after: 0).answer == .alreadyApplied(through: 1) })
        #expect(bench.receiver.totalCount == 1)
    }

    @Test func `a slow answer in time is applied`() async throws {
        let bench = try Bench()
        bench.receiver.fault = .slow(.milliseconds(100))
        #expect(await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0).answer == .applied)
    }

    @Test func `a connection closed in place of an answer is ambiguous`() async throws {
        let bench = try Bench()
        bench.receiver.fail(next: 1, with: .closeUnapplied)
        let batch = makeBatch([Series(pattern: "a", count: 1)])
        let result = await bench.apply([batch], after: 0)
        #expect(result.failureClass == .ambiguous)
        #expect(await bench.apply([batch], after: 0).answer == .applied)
        #expect(bench.receiver.totalCount == 1)
    }

    @Test func `a damaged batch is poison and nothing of its span is sent`() async throws {
        let bench = try Bench()
        let good = makeBatch([Series(pattern: "a", count: 1)])
        for cut in [0, 3, 4, 20, good.payload.count - 1] {
            let damaged = Batch(payload: Array(good.payload[..<cut]), recordCount: 1, seriesCount: 1)
            let result = await bench.apply([good, damaged], after: 0)
            #expect(result.failureClass == .poison, "cut at \(cut)")
            #expect(result.error?.code == "BATCH")
        }
        #expect(bench.receiver.requestCount == 0)
    }

    // MARK: Connection

    @Test func `one connection serves all spans`() async throws {
        let bench = try Bench()
        for number in 0..<25 {
            #expect(
                await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: Int64(number)).answer
                    == .applied
            )
        }
        #expect(bench.receiver.totalCount == 25)
        #expect(bench.receiver.connectionCount == 1)
    }

    @Test func `a connection that the node closed between spans is replaced without a failure`() async throws {
        let bench = try Bench()
        let batch = makeBatch([Series(pattern: "a", count: 1)])
        #expect(await bench.apply([batch], after: 0).answer == .applied)
        bench.receiver.closeConnections()
        // A probe on the same loop comes after the close was seen there.
        #expect(await probe(bench.sink))
        #expect(await eventually { bench.receiver.connectionCount >= 2 })
        let result = await bench.apply([batch], after: 1)
        // Seen in time or not is the kernel's affair: only these two may be.
        #expect(result.answer == .applied || result.failureClass == .ambiguous)
        if result.failureClass == .ambiguous {
            #expect(await bench.apply([batch], after: 1).answer != nil)
        }
        #expect(bench.receiver.totalCount == 2)
    }

    @Test func `a unix socket serves as well`() async throws {
        let path = NSTemporaryDirectory() + "logboom-forward-\(UInt32.random(in: 0...(.max))).sock"
        defer { unlink(path) }
        let receiver = AnalyticsReceiver(unixSocketPath: path)
        try receiver.start()
        defer { receiver.stop() }
        let sink = ForwardSink(try HTTPAddress(url: "unix:\(path)"), on: MultiThreadedEventLoopGroup.singleton)
        let span = BatchSpan(stream: StreamID(rawValue: 1), previous: 0, last: 1)
        let node = NodeID(random: Array(repeating: 1, count: 16))
        #expect(await probe(sink))
        let result = await apply(span, [makeBatch([Series(pattern: "a", count: 4)])], from: node, to: sink)
        #expect(result.answer == .applied)
        #expect(receiver.totalCount == 4)
        #expect(receiver.requests.last?.headers["host"] == "localhost")
    }

    @Test func `a base path and a token are sent, and the token is in no message`() async throws {
        let bench = try Bench(basePath: "/edge/", token: "hunter2")
        #expect(await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0).answer == .applied)
        #expect(bench.receiver.requests.last?.path == "/edge/v1/patterns")
        #expect(bench.receiver.requests.last?.headers["authorization"] == "Bearer hunter2")
        bench.receiver.fault = .status(401)
        let refused = await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 1)
        #expect(refused.error.map { !"\($0) \($0.code)".contains("hunter2") } == true)
    }

    @Test func `streams that can never be sent again are forgotten, live ones are not`() async throws {
        let bench = try Bench()
        let batch = makeBatch([Series(pattern: "a", count: 1)])
        let streams = (1...3).map { StreamID(rawValue: $0) }
        for stream in streams { #expect(await bench.apply([batch], after: 0, stream: stream).answer == .applied) }
        bench.sink.forgetStreams(except: [streams[1]], of: bench.node)
        #expect(await eventually { bench.receiver.streams == ["0000000000000002"] })
        #expect(bench.receiver.requests.last?.path == "/v1/streams")
        // Repeated for a live stream: still counted once.
        #expect(await bench.apply([batch], after: 0, stream: streams[1]).answer == .alreadyApplied(through: 1))
    }

    @Test func `forgetting is harmless when the node is away`() async throws {
        let bench = try Bench()
        bench.receiver.stop()
        bench.sink.forgetStreams(except: [], of: bench.node)
        try bench.receiver.start(port: bench.port)
        #expect(await bench.apply([makeBatch([Series(pattern: "a", count: 1)])], after: 0).answer == .applied)
    }

    @Test func `closing ends a call under way as ambiguous, and later ones as transient`() async throws {
        let bench = try Bench()
        bench.receiver.fault = .hang
        let batch = makeBatch([Series(pattern: "a", count: 1)])
        async let result = bench.apply([batch], after: 0)
        #expect(await eventually { bench.receiver.requestCount == 1 })
        await withCheckedContinuation { continuation in bench.sink.close { continuation.resume() } }
        #expect(await result.failureClass == .ambiguous)
        #expect(await bench.apply([batch], after: 0).failureClass == .transient)
    }

    @Test func `encoding runs where the caller says`() async throws {
        let bench = try Bench()
        let used = SharedSet()
        let sink = ForwardSink(
            HTTPAddress(host: "127.0.0.1", port: bench.port),
            on: MultiThreadedEventLoopGroup.singleton
        ) { block in
            used.insert("here")
            block()
        }
        let span = BatchSpan(stream: bench.stream, previous: 0, last: 1)
        let result = await apply(span, [makeBatch([Series(pattern: "a", count: 1)])], from: bench.node, to: sink)
        #expect(result.answer == .applied)
        #expect(used.count == 1)
    }
}
