import PipelineTesting

/// Makes requests: well formed ones of every kind, and ones that something is wrong with.
struct RequestMaker {
    var random: SeededGenerator

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func one<Value>(of values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &random)]
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in
            chance(80) ? UInt8.random(in: 0x20...0x7E, using: &random) : one(of: [0, 9, 10, 13, 0x7F, 0x80, 0xFF])
        }
    }

    /// A well-formed request.
    mutating func request() -> [UInt8] {
        let isVersion10 = chance(15)
        let target = one(of: [
            "/ingest", "/", "/v1/patterns?limit=5", "/a/b?c=d&e", "http://pi:8004/stats?x", "/%41%00", "/ingest?", "//",
        ])
        var lines = [
            "\(one(of: ["GET", "POST", "HEAD", "DELETE", "PUT", "OPTIONS"])) \(target) HTTP/1.\(isVersion10 ? 0 : 1)"
        ]
        lines.append("\(one(of: ["Host", "host", "HOST"])):\(one(of: ["", " ", "\t", "  "]))pi.local:8004")
        let names = [
            "Content-Type", "Accept", "User-Agent", "Authorization", "Idempotency-Key", "X-A", "Cookie",
            "Content-Encoding",
        ]
        for name in names.shuffled(using: &random).prefix(Int.random(in: 0...6, using: &random)) {
            let value = one(of: [
                "application/json", "", "a b\tc", "x; y=\"z\"", "*/*", String(repeating: "v", count: 40),
            ])
            lines.append("\(name): \(value)\(one(of: ["", " ", "\t "]))")
        }
        if chance(30) { lines.append("Connection: \(one(of: ["close", "keep-alive", "Keep-Alive", "x, close"]))") }
        let body = bytes(one(of: [0, 1, 5, 20, 300]))
        switch Int.random(in: 0..<3, using: &random) {
        case 0 where !isVersion10:
            lines.append("Transfer-Encoding: \(one(of: ["chunked", "Chunked", "CHUNKED"]))")
            return Array((lines + ["", ""]).joined(separator: "\r\n").utf8) + chunks(body)
        case 1:
            lines.append("Content-Length: \(body.count)")
            return Array((lines + ["", ""]).joined(separator: "\r\n").utf8) + body
        default:
            return Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
        }
    }

    private mutating func chunks(_ body: [UInt8]) -> [UInt8] {
        var coded: [UInt8] = []
        var rest = body[...]
        while !rest.isEmpty {
            let chunk = rest.prefix(Int.random(in: 1...rest.count, using: &random))
            rest = rest.dropFirst(chunk.count)
            let size = String(chunk.count, radix: 16, uppercase: chance(50))
            let coding = one(of: ["", "", "", "0", "00"]) + size + one(of: ["", "", ";x", ";a=b"])
            coded += Array("\(coding)\r\n".utf8) + chunk + Array("\r\n".utf8)
        }
        return coded + Array(one(of: ["0\r\n\r\n", "0\r\nX-T: a\r\n\r\n", "000\r\n\r\n", "0;e\r\n\r\n"]).utf8)
    }

    /// Something else in one to three places, or the end cut off.
    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(one(of: Array(" \t\r\n:,;0aZ\u{0}".utf8)), at: place)
            case 3: bytes.replaceSubrange(place..<place, with: Array(one(of: Self.traps).utf8))
            case 4: bytes.removeLast(bytes.count - place)
            default:
                // A line twice, or in another place.
                let end = bytes[place...].firstIndex(of: 10) ?? bytes.count - 1
                bytes.insert(contentsOf: Array(bytes[place...end]), at: Int.random(in: 0...bytes.count, using: &random))
            }
        }
        return bytes
    }

    private static let traps = [
        "\r\n", "\n", "\r", "\r\n ", "Content-Length: 5\r\n", "Content-Length: +5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: x\r\n", "Host: b\r\n", "X : y\r\n", ": y\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Connection: close\r\n",
    ]

    /// The bytes in pieces.
    mutating func pieces(_ bytes: [UInt8]) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        let longest = one(of: [1, 2, 7, 50, 1000])
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...longest, using: &random))
            pieces.append(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        return pieces
    }
}
