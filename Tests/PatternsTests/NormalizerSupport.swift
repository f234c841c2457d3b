import Foundation
import Patterns
import PipelineTesting

/// The template of one text, by a normaliser of its own.
func template(of text: String, style: PlaceholderStyle = .angle) -> String {
    String(decoding: template(of: Array(text.utf8), style: style), as: UTF8.self)
}

func template(of bytes: [UInt8], style: PlaceholderStyle = .angle) -> [UInt8] {
    var normalizer = Normalizer(style: style)
    return normalizer.template(of: bytes)
}

extension Normalizer {
    /// Copies the template out, so that it survives the next call. The input sits in a block of exactly its size, so that
    /// a sanitizer or a guard page would notice a read past its end.
    mutating func template(of bytes: [UInt8]) -> [UInt8] {
        let exact = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        defer { exact.deallocate() }
        _ = exact.initialize(from: bytes)
        return Array(normalize(UnsafeBufferPointer(exact)))
    }
}

/// The folder that holds the Loghub samples, `LOGBOOM_TEST_LOG_DATA` or one beside the checkout; they are never part of the
/// repository.
let loghub =
    ProcessInfo.processInfo.environment["LOGBOOM_TEST_LOG_DATA"].map { URL(filePath: $0) }
    ?? URL(filePath: #filePath).deletingLastPathComponent().resolvingSymlinksInPath()
    .appending(path: "../../../shared/loghub").standardized

/// Makes messages: pieces of real forms, glued in all ways, mutated, or plain noise.
struct HostileMessages {
    var generator: SeededGenerator
    let corpus: [[UInt8]]

    init(seed: UInt64, corpus: [[UInt8]]) {
        generator = SeededGenerator(seed: seed)
        self.corpus = corpus
    }

    static let pieces: [String] = [
        "User", "user", "id", "uid=", "pid:", "#", "task ", "request_id=", "topic ", "relation ", "msg=", "ts=",
        "level=",
        "123", "0", "7", "00100758", "1700000000", "1700000000123", "0.05", "-26", "+3", "85%", "1e5", "1.5e-05", "3rd",
        "ms", "s", " ms", "MB", " MB", "GiB", "512B", "h", "1h30m", "2d4h", "PT1H30M", "µs", "°C", "V", "K", "M",
        "2026-03-01", "2026-03-01T12:00:00.123Z", "2026-03-01 12:00:00,123", "12:00:00", "12:30", "Mar  1 12:00:00",
        "Mar 1", "Wed Jun 29 14:44:35 2005", "01/Mar/2026:12:00:00 +0000", "1 Mar ", "20260301T120000Z", "UTC",
        " +0000",
        "10.0.0.1", "10.0.0.1:8080", "10.0.0.0/8", "fe80::1%eth0", "::1", "::", "2001:db8::", "aa:bb:cc:dd:ee:ff",
        "00-11-22-33-44-55", "0000:01:00.0", "1.2.3", "v1.2.3", "v2", "1.24.0-1ubuntu2", "HTTP/1.1", "256.1.1.1",
        "550e8400-e29b-41d4-a716-446655440000", "0xdeadbeef", "0x", "deadbeef12", "ffffffff", "9f4ef63", "abc",
        "http://", "http://a.b/c?d=e&f=1", "https://[::1]:80/x", "mqtt://", "a@b.example", "getty@tty1.service", "@",
        "a.bc",
        "/", "/var/log/x.log", "/path/file.txt:12:30", "/dev/ttyUSB0", "~/x", "./a", "../b", "C:\\Windows\\x",
        "\\\\srv\\share",
        "C:\\Program Files\\x", "zigbee2mqtt/a/b", "a/b", "a/b/c", "home/+/x/#", "$SYS/broker/uptime", "//", "\\",
        "\"", "'", "\"a b\"", "'x'", "\"" + String(repeating: "long ", count: 20) + "\"", "GET /x HTTP/1.1", "`",
        "ssh2", "utf8", "x86_64", "sha-256", "jk2_init(", "r24=", "core.865", "blk_-123", "part-00190", "main.swift:12",
        "example.org", "nas.home.lan:443", "zigbee2mqtt", "org.example.v2.Client", "foo.com.12", "SHA256:",
        "nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8", "eyJhbGciOi.eyJzdWIi.SflKxw", "[12345.678901]", "[    0.000000]",
        "sshd[1234]:", "<6>", "<", ">", "{", "}", "<ID>", "<NUM>", "{TIME}", "{PATH}", "<MORE>", "{MORE}", "<*>",
        "<FOO>",
        "<STRING>", "<SIZE", " ", "  ", "\t", "    ", "\n", ",", ", ", ".", "...", ":", ": ", ";", "=", "-", "_", "+",
        "%",
        "(", ")", "[", "]", "|", "!", "?", "&", "ü", "温度", "用户123登录", "🙂", "null", "true", "\u{0}", "",
    ]

    mutating func next() -> [UInt8] {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: return noise(count: Int.random(in: 0...200, using: &generator))
        case 1, 2: return corpus.isEmpty ? glued() : mutated(corpus.randomElement(using: &generator) ?? [])
        case 3: return mutated(glued())
        case 4: return glued(count: Int.random(in: 60...400, using: &generator))
        default: return glued()
        }
    }

    private mutating func glued() -> [UInt8] {
        glued(count: Int.random(in: 1...12, using: &generator))
    }

    private mutating func glued(count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<count {
            bytes.append(contentsOf: (Self.pieces.randomElement(using: &generator) ?? "").utf8)
            if Int.random(in: 0..<3, using: &generator) == 0 { bytes.append(UInt8(ascii: " ")) }
        }
        return bytes
    }

    private mutating func noise(count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    private mutating func mutated(_ original: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...6, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(contentsOf: (Self.pieces.randomElement(using: &generator) ?? "").utf8, at: index)
            case 3: bytes[index] = Array("0123456789abcdefXYZ :./-_=<>\"'@".utf8).randomElement(using: &generator) ?? 0
            default: bytes.removeSubrange(index...)
            }
        }
        return bytes
    }
}

/// All lines of the Loghub samples, or none with a printed reason.
func loghubLines(suffix: String) -> [[UInt8]] {
    let files = (try? FileManager.default.contentsOfDirectory(at: loghub, includingPropertiesForKeys: nil)) ?? []
    let wanted = files.filter { $0.lastPathComponent.hasSuffix(suffix) }
    if wanted.isEmpty { print("skipped: no \(suffix) files in \(loghub.path)") }
    return wanted.sorted { $0.path < $1.path }.flatMap { file in
        ((try? Data(contentsOf: file)) ?? Data()).split(separator: 10).map(Array.init)
    }
}
