import Foundation
import JSONBytes
import PipelineTesting
import Testing

/// The reader against Foundation's, which is an independent one (swift-foundation's JSONScanner).
///
/// They may differ where ``maySayOtherwise(_:)``, ``isNumberRange(_:)`` and ``endsWithComma(_:)`` say so, each with its
/// reason, and nowhere else.
@Suite struct DifferentialTests {
    private func foundationReads(_ bytes: [UInt8]) -> Any? {
        try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
    }

    /// Texts on which the two may disagree.
    private func maySayOtherwise(_ bytes: [UInt8]) -> Bool {
        // Foundation refuses invalid UTF-8; we leave its repair to whoever stores it.
        if String(validating: bytes, as: UTF8.self) == nil { return true }
        // Foundation guesses UTF-16 and UTF-32 from NUL bytes and byte order marks; we read UTF-8 only.
        if bytes.contains(0) || bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return true }
        // Foundation refuses lone surrogates; we replace them when unescaping.
        if String(decoding: bytes, as: UTF8.self).lowercased().contains("\\ud") { return true }
        return false
    }

    /// Foundation refuses numbers beyond a double's range, or rounds them; we leave numbers as text.
    private func isNumberRange(_ bytes: [UInt8]) -> Bool {
        bytes.contains { $0 | 0x20 == 0x65 } && bytes.contains { (0x30...0x39).contains($0) }
    }

    /// Foundation accepts a comma before a closing bracket; RFC 8259 does not.
    private func endsWithComma(_ error: JSONSyntaxError?, in bytes: [UInt8]) -> Bool {
        guard let error, error.offset < bytes.count, [0x5D, 0x7D].contains(bytes[error.offset]) else { return false }
        return bytes[..<error.offset].last { $0 > 0x20 } == 0x2C
    }

    private func compare(_ bytes: [UInt8]) {
        let error = validationError(bytes)
        let walked = walk(bytes)
        if let error {
            #expect((0...bytes.count).contains(error.offset))
            guard case .failure(let other) = walked else {
                Issue.record("validator refused, pull reader accepted: \(bytes)")
                return
            }
            #expect(other == error, "\(String(decoding: bytes, as: UTF8.self))")
        } else if case .failure(let other) = walked {
            Issue.record("validator accepted, pull reader refused: \(other) \(bytes)")
        }
        guard !maySayOtherwise(bytes) else { return }
        let reference = foundationReads(bytes)
        if (reference == nil) != (error != nil), !(error == nil && isNumberRange(bytes)),
            !endsWithComma(error, in: bytes)
        {
            Issue.record(
                "Foundation \(reference == nil ? "refuses" : "accepts"): \(String(decoding: bytes, as: UTF8.self))"
            )
        }
    }

    @Test func `generated documents are read as Foundation reads them`() throws {
        var generator = DocumentGenerator(random: SeededGenerator(of: "generated"))
        for _ in 0..<10_000 {
            let bytes = generator.document()
            compare(bytes)
            guard let reference = foundationReads(bytes), let ours = try? JSONValue.parse(bytes) else { continue }
            #expect(same(ours, reference), "\(String(decoding: bytes, as: UTF8.self))")
        }
    }

    @Test func `mutated documents are refused when Foundation refuses them`() {
        var generator = DocumentGenerator(random: SeededGenerator(of: "mutated"))
        let alphabet =
            Array("{}[]\",:\\u0123456789abcdefE+-.tfn \n\t\r/'x\u{7F}é".utf8) + [0x00, 0x01, 0x1F, 0x80, 0xFF]
        for _ in 0..<20_000 {
            var bytes = generator.document()
            for _ in 0...Int.random(in: 0...2, using: &generator.random) {
                let place = Int.random(in: 0...max(0, bytes.count - 1), using: &generator.random)
                let byte = alphabet.randomElement(using: &generator.random) ?? 0
                switch Int.random(in: 0..<4, using: &generator.random) {
                case 0 where !bytes.isEmpty: bytes[place] = byte
                case 1 where !bytes.isEmpty: bytes.remove(at: place)
                case 2 where !bytes.isEmpty: bytes.removeLast(bytes.count - place)
                default: bytes.insert(byte, at: min(place, bytes.count))
                }
            }
            compare(bytes)
        }
    }

    @Test func `random texts of JSON's own characters are judged alike`() {
        var random = SeededGenerator(of: "soup")
        let pieces = [
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"\"", "1", "-", "0", ".5", "e3", "true", "null", " ", "\\n",
        ]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...9, using: &random)).map { _ in pieces.randomElement(using: &random) ?? ""
            }
            compare(Array(text.joined().utf8))
        }
    }

    /// Repeated keys: Foundation keeps one of them, and which is its own business; such objects are compared by keys only.
    private func same(_ ours: JSONValue, _ reference: Any) -> Bool {
        switch ours {
        case .null: return reference is NSNull
        case .bool(let value): return (reference as? Bool) == value
        case .integer(let value): return (reference as? NSNumber)?.doubleValue == Double(value)
        case .number(let value):
            // JSONSerialization goes through a decimal number and is off by a unit in the last place now and then; the
            // exact value is compared with the standard library's in TextTests.
            guard let other = (reference as? NSNumber)?.doubleValue else { return false }
            return abs(other - value) <= abs(value) * 1e-14
        case .string(let value): return (reference as? String) == value
        case .array(let elements):
            guard let others = reference as? [Any], others.count == elements.count else { return false }
            return zip(elements, others).allSatisfy { same($0, $1) }
        case .object(let members):
            guard let others = reference as? [String: Any] else { return false }
            let keys = Set(members.map(\.key))
            guard keys == Set(others.keys) else { return false }
            guard keys.count == members.count else { return true }
            return members.allSatisfy { member in others[member.key].map { same(member.value, $0) } ?? false }
        }
    }
}
