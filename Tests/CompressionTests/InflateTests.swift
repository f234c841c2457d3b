import Compression
import Foundation
import PipelineTesting
import Testing

@Suite struct InflateTests {
    private func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var stream = GzipStream()
        stream.append(bytes)
        return stream.finish()
    }

    private func raw(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBufferPointer { Deflate.compressed($0, level: 6) } ?? []
    }

    /// RFC 1950: header, raw deflate, Adler-32.
    private func zlib(_ bytes: [UInt8]) -> [UInt8] {
        var a: UInt32 = 1
        var b: UInt32 = 0
        for byte in bytes {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        let sum = b << 16 | a
        return [0x78, 0x9C] + raw(bytes) + (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * $0)) }
    }

    private func expanded(
        _ input: [UInt8],
        _ coding: Inflate.Coding,
        _ byteCountMax: Int = 1 << 20
    ) -> Result<[UInt8], Inflate.Failure> {
        input.withUnsafeBufferPointer { input in
            do throws(Inflate.Failure) {
                return .success(try Inflate.expanded(input, coding, byteCountMax: byteCountMax))
            } catch {
                return .failure(error)
            }
        }
    }

    private static let text = Array(String(repeating: "pump 7 started on node 12; ", count: 400).utf8)

    @Test func `what was compressed comes back, in each form`() {
        #expect(expanded(gzip(Self.text), .gzip) == .success(Self.text))
        #expect(expanded(gzip([]), .gzip) == .success([]))
        #expect(expanded(zlib(Self.text), .deflate) == .success(Self.text))
        #expect(expanded(raw(Self.text), .deflate) == .success(Self.text))
    }

    @Test func `the bound holds at it and one below`() {
        let count = Self.text.count
        for (input, coding) in [
            (gzip(Self.text), Inflate.Coding.gzip), (zlib(Self.text), .deflate), (raw(Self.text), .deflate),
        ] {
            #expect(expanded(input, coding, count) == .success(Self.text))
            #expect(expanded(input, coding, count - 1) == .failure(.tooLarge))
            #expect(expanded(input, coding, 0) == .failure(.tooLarge))
        }
    }

    @Test func `a bomb is refused without being opened`() {
        var bomb = gzip([UInt8](repeating: 32, count: 64 << 20))
        #expect(bomb.count < 400_000)
        #expect(expanded(bomb, .gzip, 8 << 20) == .failure(.tooLarge))
        // It says itself, in its last bytes, how large it is. Whoever opened this one would find it damaged.
        for index in 20..<200 { bomb[index] ^= 0xFF }
        #expect(expanded(bomb, .gzip, 8 << 20) == .failure(.tooLarge))
        #expect(expanded(bomb, .gzip, 64 << 20) == .failure(.damaged))
    }

    @Test func `a bomb that does not say how large it is is refused as well, from its first byte past the bound`() {
        let bomb = raw([UInt8](repeating: 32, count: 16 << 20))
        for byteCountMax in [0, 1, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 1 << 20, (16 << 20) - 1] {
            #expect(expanded(bomb, .deflate, byteCountMax) == .failure(.tooLarge))
        }
        if case .success(let bytes) = expanded(bomb, .deflate, 16 << 20) { #expect(bytes.count == 16 << 20) }
        // What is damaged behind the bound is not looked at.
        #expect(expanded(Array(bomb.dropLast(4)), .deflate, 1 << 20) == .failure(.tooLarge))
        #expect(expanded(Array(bomb.dropLast(4)), .deflate) == .failure(.tooLarge))
    }

    @Test func `one that says less than it holds gets no further than it said`() {
        var lying = gzip([UInt8](repeating: 32, count: 4 << 20))
        lying.replaceSubrange((lying.count - 4)..., with: [0, 4, 0, 0])
        #expect(expanded(lying, .gzip) == .failure(.damaged))
    }

    @Test func `every cut and every changed byte is found, or changes nothing`() {
        let text = Array("User 123 logged in; User 124 logged in".utf8)
        for (input, coding) in [(gzip(text), Inflate.Coding.gzip), (zlib(text), .deflate)] {
            for count in 0..<input.count {
                #expect(expanded(Array(input[..<count]), coding) == .failure(.damaged), "\(coding) cut at \(count)")
            }
            for place in input.indices {
                var changed = input
                changed[place] ^= 0x55
                let result = expanded(changed, coding, 1000)
                // Time, flags and the system's name in gzip's header say nothing of the content.
                #expect(result != .success([]), "\(coding) changed at \(place)")
                if case .success(let bytes) = result { #expect(bytes == text, "\(coding) changed at \(place)") }
            }
            #expect(expanded(input + [0], coding) == .failure(.damaged))
            #expect(expanded(input + input, coding) == .failure(.damaged))
        }
        #expect(expanded(text, .gzip) == .failure(.damaged))
        #expect(expanded([], .deflate) == .failure(.damaged))
    }

    @Test func `random bytes never give more than the bound`() {
        for seed in SeededGenerator.seeds(fixed: 200, fresh: 100) {
            var random = SeededGenerator(seed: seed)
            var input = gzip(Array(Self.text.prefix(Int.random(in: 0...200, using: &random))))
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                input[Int.random(in: 0..<input.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            for coding in [Inflate.Coding.gzip, .deflate] {
                if case .success(let bytes) = expanded(input, coding, 150) {
                    #expect(bytes.count <= 150, "LOGBOOM_TEST_SEED=\(seed)")
                }
            }
        }
    }
}
