import LogModel
import Testing

@testable import Patterns

@Suite struct RecentMessagesTests {
    @Test(arguments: [20, 120])
    func `room for what is recalled grows with the patterns`(byteCount: Int) {
        var recent = RecentMessages()
        defer { recent.deallocate() }
        let conditions = DigitConditions()
        defer { conditions.deallocate() }
        let messages = (0..<4_000).map { number in
            // Letters alone: digits are not told apart.
            let name = [number / 400, number / 20 % 20, number % 20].map { UInt8(ascii: "a") + UInt8($0) }
            return name + [UInt8](repeating: UInt8(ascii: "-"), count: byteCount - name.count)
        }
        func found(_ recent: inout RecentMessages) -> Int {
            var count = 0
            for _ in 0..<4 {
                count = 0
                for (number, message) in messages.enumerated() {
                    message.withUnsafeBufferPointer { text in
                        guard let bytes = text.baseAddress else { return }
                        let hash = TextHash.hashShape(bytes, text.count)
                        if let entry = recent.find(text, hash: hash) {
                            if Int(entry.number) == number { count += 1 }
                        } else if recent.wants(text, hash: hash) {
                            let entry = RecentMessages.Entry(number: Int32(number), stamp: 0, level: 0)
                            conditions.begin()
                            recent.insert(text, hash: hash, entry, conditions)
                        }
                    }
                }
            }
            return count
        }
        #expect(found(&recent) <= RecentMessages.slotCountMin)
        let before = recent.byteCount
        #expect(before <= 540 * 1024)
        recent.makeRoom(forPatterns: RecentMessages.slotCountMin / 4)
        #expect(recent.byteCount == before, "there is room for these")
        recent.makeRoom(forPatterns: 5_000)
        #expect(recent.byteCount < before, "what is not used is not touched")
        #expect(found(&recent) >= 3_700)
        recent.makeRoom(forPatterns: 1_000_000)
        #expect(found(&recent) >= 3_700 && recent.byteCount <= 4 * 1024 * 1024 + 100 * 1024)
    }
}
