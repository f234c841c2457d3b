/// What the outcome of a rule depended on besides the shape of the message, which is all of it but the values of its digits.
///
/// Most rules ask whether a byte is a digit and never which one: `took 17 ms` and `took 42 ms` go the same way through all of
/// them. The few that do ask (hours and minutes, the groups of an address, names with a digit of their own, check digits)
/// note here what they asked. Whoever knows the outcome for one message then knows it for every other of the same shape
/// that meets the same conditions; ``RecentMessages`` makes use of that.
///
/// A rule that is in doubt notes more than it needs: that costs time, never the result. Owns a block of memory that
/// ``deallocate()`` frees; copies share it. Not safe to share between threads.
struct DigitConditions {
    /// Positions from here on are not noted, because no message this long is remembered.
    static let positionMax = 192
    static let rangeCountMax = 16

    /// The number of one to three digits at a place lies in a range, or does not.
    struct Range {
        /// From the lowest bit: position 8, digits 2, lowest value 10, highest value 10, and whether it lies inside.
        fileprivate let bits: UInt32

        fileprivate init(bits: UInt32) { self.bits = bits }

        init(position: Int, count: Int, values: ClosedRange<Int>, isInside: Bool) {
            bits =
                UInt32(position) | UInt32(count) << 8 | UInt32(values.lowerBound) << 10
                | UInt32(min(values.upperBound, 1023)) << 20 | (isInside ? 1 << 30 : 0)
        }

        fileprivate var position: Int { Int(bits & 0xFF) }
        fileprivate var count: Int { Int(bits >> 8 & 3) }

        /// Where its digits stand.
        var places: Swift.Range<Int> { position..<position + count }

        /// Whether the digits of `text`, which has this shape, meet the condition.
        @inline(__always)
        func holds(_ text: UnsafePointer<UInt8>) -> Bool {
            let digits = text + Int(bits & 0xFF)
            var value = UInt32(digits[0] & 0x0F)
            let count = bits >> 8 & 3
            if count >= 2 { value = value &* 10 &+ UInt32(digits[1] & 0x0F) }
            if count == 3 { value = value &* 10 &+ UInt32(digits[2] & 0x0F) }
            let low = bits >> 10 & 1023
            let high = bits >> 20 & 1023
            // Below `low` the difference wraps and is larger than any range.
            return (value &- low <= high &- low) == (bits >> 30 != 0)
        }
    }

    private struct State {
        var isExact = false
        var needsLetters = false
        var rangeCount = 0
        var exact = InlineArray<3, UInt64>(repeating: 0)
        var ranges = InlineArray<16, Range>(repeating: Range(bits: 0))
    }
    private let state: UnsafeMutablePointer<State>

    init() {
        state = .allocate(capacity: 1)
        state.initialize(to: State())
    }

    func deallocate() { state.deallocate() }

    /// A new message: nothing was asked yet.
    @inline(__always)
    func begin() {
        state.pointee.isExact = false
        state.pointee.needsLetters = false
        state.pointee.rangeCount = 0
        state.pointee.exact = [0, 0, 0]
    }

    /// The outcome is known for messages with the very same digits only.
    func needAll() { state.pointee.isExact = true }

    /// Whether a letter or a figure ends or begins a word was decisive: an identifier of both may not stand there as any other
    /// (``HexShape``).
    func needLetters() { state.pointee.needsLetters = true }
    var needsLetters: Bool { state.pointee.needsLetters }

    /// The digits in `start..<end` have to be the same.
    func needDigits(from start: Int, to end: Int) {
        var index = max(start, 0)
        while index < min(end, Self.positionMax) {
            state.pointee.exact[index >> 6] |= 1 << UInt64(index & 63)
            index += 1
        }
    }

    /// Whether the `count` digits at `position`, with this value, lie in a range was decisive.
    func need(position: Int, count: Int, value: Int, in values: ClosedRange<Int>) {
        guard position < Self.positionMax else { return }
        guard (1...3).contains(count) else { return needDigits(from: position, to: position + count) }
        append(Range(position: position, count: count, values: values, isInside: values.contains(value)))
    }

    /// The digits that a range is about have to be the same: more than it asks for.
    func needDigits(of range: Range) {
        needDigits(from: range.position, to: range.position + range.count)
    }

    private func append(_ range: Range) {
        let used = state.pointee.rangeCount
        guard used < Self.rangeCountMax else { return needDigits(of: range) }
        // One rule after the other asks about the same place.
        for index in 0..<used where state.pointee.ranges[index].bits == range.bits { return }
        state.pointee.ranges[used] = range
        state.pointee.rangeCount = used + 1
    }

    /// Takes the conditions of `other` along.
    func add(_ other: DigitConditions) {
        if other.state.pointee.isExact { state.pointee.isExact = true }
        if other.state.pointee.needsLetters { state.pointee.needsLetters = true }
        for index in 0..<3 { state.pointee.exact[index] |= other.state.pointee.exact[index] }
        for index in 0..<other.state.pointee.rangeCount {
            append(other.state.pointee.ranges[index])
        }
    }

    /// Whether the digit at `position` must be the one it is.
    @inline(__always)
    func isExact(_ position: Int) -> Bool {
        state.pointee.isExact || position >= Self.positionMax
            || state.pointee.exact[position >> 6] >> UInt64(position & 63) & 1 != 0
    }

    /// Ranges that were asked about; none when all digits have to be the same.
    var rangeCount: Int { state.pointee.isExact ? 0 : state.pointee.rangeCount }

    func range(_ index: Int) -> Range { state.pointee.ranges[index] }
}
