import HTTPWire
import PipelineTesting
import Testing

@Suite struct RequestSplitTests {
    private static let examples = [
        "GET /stats?a=b HTTP/1.1\r\nHost: pi\r\nAccept: */*\r\n\r\n",
        "POST /ingest HTTP/1.1\r\nHost: pi\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
        "POST /ingest HTTP/1.1\r\nHost: pi\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /ingest HTTP/1.1\r\nHost: pi\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!",
        "POST /ingest HTTP/1.1\r\nHost: pi\r\nContent-Length: 5,5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: pi\r\nX: a\u{0}b\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
    ]

    @Test(arguments: examples)
    func `cutting the bytes at any two places changes nothing`(_ text: String) {
        let bytes = Array(text.utf8)
        let whole = read([bytes])
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let pieces = [Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])]
                #expect(read(pieces) == whole, "cut at \(first) and \(second)")
            }
        }
        #expect(read(bytes.map { [$0] }) == whole)
    }

    @Test func `cutting requests anywhere changes nothing, whatever is wrong with them`() {
        for seed in SeededGenerator.seeds(fixed: 150, fresh: 50) {
            var maker = RequestMaker(seed: seed)
            var bounds = RequestBounds(bodyByteCountMax: 200)
            // Small, so that they are reached.
            bounds.requestLineByteCountMax = 60
            bounds.headByteCountMax = 250
            bounds.fieldCountMax = 6
            bounds.chunkExtensionByteCountMax = 4
            for round in 0..<20 {
                var bytes = maker.request() + maker.request()
                if round % 2 == 1 { bytes = maker.mutated(bytes) }
                let whole = read([bytes], bounds)
                for _ in 0..<3 {
                    let cut = read(maker.pieces(bytes), bounds)
                    #expect(
                        cut == whole,
                        "LOGBOOM_TEST_SEED=\(seed), round \(round): \(String(decoding: bytes, as: UTF8.self))"
                    )
                }
            }
        }
    }

    @Test func `well-formed requests are read whole, one after the other`() {
        for seed in SeededGenerator.seeds(fixed: 100, fresh: 50) {
            var maker = RequestMaker(seed: seed)
            let count = 5
            let bytes = (0..<count).flatMap { _ in maker.request() }
            let reading = read([bytes])
            #expect(
                reading.requests.count == count && reading.end == .clean,
                "LOGBOOM_TEST_SEED=\(seed): \(reading.end)"
            )
        }
    }
}
