import Foundation
import LogModel
import PipelineTesting
import RecordDecoding
import Testing

@Suite struct DecoderFuzzTests {
    private static let samples: [String] = [
        #"{"message":"User \u00e9 login\n","level":"INFO","source":"auth","metadata":{"user_id":"123","o":{"p":[1]}}}"#,
        #"{"logs":[{"org":"a","message":"one","ts":1736937045.5},{"message":"two","latency_ms":"1.5"},"three",4]}"#,
        #"[{"msg":"a","level":30},{"log":"b\ud83d\ude00","error":{"message":"x"}},{"payload":{"message":"c"}}]"#,
        "{\"message\":\"a\"}\n{\"message\":\"b\",\"k\":1}\n{\"text\":\"c\"}\n{\"message\":\"d\"}\n",
        #"{"_msgid":"1","error":{"message":"TypeError","source":{"id":"n","type":"function"},"stack":"a\n b"}}"#,
        "plain line one\r\nplain line two\n\n[x] three",
    ]
    private static let types: [String?] = [nil, "application/json", "application/x-ndjson", "text/plain", "x"]

    private func check(_ body: [UInt8], _ type: String?, _ decoder: BodyDecoder, tenant: Bool) {
        let decoded = decode(body, type: type, requiresTenant: tenant, using: decoder)
        switch decoded.result {
        case .success(let summary):
            #expect(summary.received == summary.accepted + summary.failed)
            #expect(summary.accepted == decoded.records.count)
            #expect(summary.errors.count == min(summary.failed, BodySummary.errorCountMax))
            #expect(summary.errors.allSatisfy { (0..<summary.received).contains($0.index) })
            #expect(summary.errors.allSatisfy { (0...body.count).contains($0.offset ?? 0) })
            #expect(decoded.records.allSatisfy { !$0.message.isEmpty && $0.attributes.count <= 32 })
        case .failure(let malformed):
            #expect((0...body.count).contains(malformed.offset))
            #expect(decoded.records.isEmpty, "malformed, yet records were handed over")
        }
    }

    @Test func `mutated bodies never break the decoder or its arithmetic`() {
        var random = SeededGenerator(of: "decoder fuzz")
        let alphabet = Array("{}[]\",:\\u0dD8e-. \n\rtfnx".utf8) + [0x00, 0x80, 0xC3, 0xFF]
        let decoder = BodyDecoder()
        for _ in 0..<20_000 {
            var body = Array((Self.samples.randomElement(using: &random) ?? "").utf8)
            for _ in 0...Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0..<max(1, body.count), using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0 where !body.isEmpty: body[place] = alphabet.randomElement(using: &random) ?? 0
                case 1 where !body.isEmpty: body.remove(at: place)
                case 2 where !body.isEmpty: body.removeLast(body.count - place)
                case 3: body += [0x0A] + Array((Self.samples.randomElement(using: &random) ?? "").utf8)
                default: body.insert(alphabet.randomElement(using: &random) ?? 0, at: min(place, body.count))
                }
            }
            let type = Self.types.randomElement(using: &random) ?? nil
            check(body, type, decoder, tenant: Bool.random(using: &random))
        }
    }

    @Test(arguments: samples)
    func `every prefix of a body is judged without a stumble`(_ sample: String) {
        let body = Array(sample.utf8)
        let decoder = BodyDecoder()
        for count in 0...body.count {
            for type in Self.types { check(Array(body[..<count]), type, decoder, tenant: false) }
        }
    }

    @Test func `lines that never close are judged in linear time`() {
        // Each line opens an object that nothing ends: without a bound on joining lines this would be quadratic.
        let body = Array(String(repeating: "{\"a\":[1,\n", count: 20_000).utf8)
        let clock = ContinuousClock()
        var outcome = ""
        let duration = clock.measure { outcome = decode(body, type: "application/x-ndjson").outcome }
        #expect(outcome.hasPrefix("malformed"))
        #expect(duration < .seconds(20))
    }
}
