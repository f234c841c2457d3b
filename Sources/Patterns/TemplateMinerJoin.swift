/// Builds the text that two templates with the same words have in common.
///
/// Between two words stands a *gap*: punctuation, placeholders and values. Where two gaps differ, what they begin and end
/// with alike stays, and the rest is wild. The result does not depend on which of two comes first. Owns its text.
struct TemplateJoin {
    /// Room for the longest token beyond the bound: a text is checked after each token.
    private static let room = 2 * Normalizer.templateByteCountMax + 2 * PlaceholderTexts.slotByteCount

    let text: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    private var endsWild = false
    /// Whether the text holds a value that was the same in both.
    private(set) var hasValue = false

    init() { text = .allocate(capacity: Self.room) }

    func deallocate() { text.deallocate() }

    static var byteCount: Int { room }

    var view: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: text, count: count) }

    /// Writes the common text of `left` and `right`, which have the same words; false when it would be too long.
    mutating func join(_ left: MinerTokens, _ right: MinerTokens, _ scan: borrowing MinerScan) -> Bool {
        begin()
        for gap in 0...left.wordCount {
            joinGap(left, left.gap(gap), right, right.gap(gap), scan)
            if gap < left.wordCount { append(left, Int(left.words[gap]), scan) }
            guard count <= Normalizer.templateByteCountMax else { return false }
        }
        return true
    }

    /// Writes one template as it is, with its wild words written so; false when it would be too long.
    mutating func copy(_ tokens: MinerTokens, _ scan: borrowing MinerScan) -> Bool {
        begin()
        for index in 0..<tokens.count {
            append(tokens, index, scan)
            guard count <= Normalizer.templateByteCountMax else { return false }
        }
        return true
    }

    private mutating func begin() {
        count = 0
        endsWild = false
        hasValue = false
    }

    private mutating func append(_ tokens: MinerTokens, _ index: Int, _ scan: borrowing MinerScan) {
        let token = tokens.tokens[index]
        switch token.kind {
        case .wild: append(.wild, scan)
        case .bool: append(.bool, scan)
        case .mark, .placeholder, .value, .word:
            guard count <= Normalizer.templateByteCountMax else { return }
            (text + count).update(from: tokens.bytes + Int(token.start), count: Int(token.end - token.start))
            count += Int(token.end - token.start)
            endsWild = false
            hasValue = hasValue || token.kind == .value
        }
    }

    private mutating func append(_ placeholder: Placeholder, _ scan: borrowing MinerScan) {
        // Two wild ones side by side say no more than one.
        guard placeholder != .wild || !endsWild, count <= Normalizer.templateByteCountMax else { return }
        count += scan.write(placeholder, to: text + count)
        endsWild = placeholder == .wild
    }

    private mutating func append(_ tokens: MinerTokens, _ range: Range<Int>, _ scan: borrowing MinerScan) {
        for index in range { append(tokens, index, scan) }
    }

    private mutating func joinGap(
        _ left: MinerTokens,
        _ leftGap: Range<Int>,
        _ right: MinerTokens,
        _ rightGap: Range<Int>,
        _ scan: borrowing MinerScan
    ) {
        let shorter = min(leftGap.count, rightGap.count)
        var head = 0
        while head < shorter, Self.isEqual(left, leftGap.lowerBound + head, right, rightGap.lowerBound + head) {
            head += 1
        }
        append(left, leftGap.prefix(head), scan)
        if head == leftGap.count, head == rightGap.count { return }
        var tail = 0
        while tail < shorter - head,
            Self.isEqual(left, leftGap.upperBound - 1 - tail, right, rightGap.upperBound - 1 - tail)
        {
            tail += 1
        }
        let leftMiddle = leftGap.dropFirst(head).dropLast(tail)
        let rightMiddle = rightGap.dropFirst(head).dropLast(tail)
        if Self.isMarks(left, leftMiddle), Self.isMarks(right, rightMiddle) {
            // Nothing but punctuation: any fixed choice will do.
            let isLeft = Self.precedes(left, leftMiddle, right, rightMiddle)
            append(isLeft ? left : right, isLeft ? leftMiddle : rightMiddle, scan)
        } else if Self.isAligned(left, leftMiddle, right, rightMiddle) {
            for (leftIndex, rightIndex) in zip(leftMiddle, rightMiddle) {
                if Self.isEqual(left, leftIndex, right, rightIndex) {
                    append(left, leftIndex, scan)
                } else {
                    let isHex =
                        Self.isNumber(left, leftIndex, scan) && Self.isNumber(right, rightIndex, scan)
                    append(isHex ? .hex : .wild, scan)
                }
            }
        } else {
            append(.wild, scan)
            // `user  from` and `user <ID> from` share one blank only; the other one follows the value.
            let longer = leftMiddle.count > rightMiddle.count ? left : right
            let middle = leftMiddle.count > rightMiddle.count ? leftMiddle : rightMiddle
            if tail == 0, let last = middle.last, Self.isBlank(longer, last) { append(longer, last, scan) }
        }
        append(left, leftGap.suffix(tail), scan)
    }

    private static func isEqual(_ left: MinerTokens, _ leftIndex: Int, _ right: MinerTokens, _ rightIndex: Int) -> Bool
    {
        let first = left.tokens[leftIndex]
        let second = right.tokens[rightIndex]
        guard first.kind == second.kind else { return false }
        switch first.kind {
        case .wild, .bool: return true
        case .mark, .placeholder, .value, .word:
            let count = first.end - first.start
            guard count == second.end - second.start else { return false }
            return isEqual(left.bytes + Int(first.start), right.bytes + Int(second.start), Int(count))
        }
    }

    static func isEqual(_ left: UnsafePointer<UInt8>, _ right: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let leftRaw = UnsafeRawPointer(left)
        let rightRaw = UnsafeRawPointer(right)
        var offset = 0
        while offset + 8 <= count {
            guard
                leftRaw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    == rightRaw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            else { return false }
            offset += 8
        }
        while offset < count {
            guard left[offset] == right[offset] else { return false }
            offset += 1
        }
        return true
    }

    private static func isMarks(_ tokens: MinerTokens, _ range: Range<Int>) -> Bool {
        for index in range where tokens.tokens[index].kind != .mark { return false }
        return true
    }

    private static func isBlank(_ tokens: MinerTokens, _ index: Int) -> Bool {
        let token = tokens.tokens[index]
        return token.kind == .mark && tokens.bytes[Int(token.start)] == UInt8(ascii: " ")
    }

    /// Pairs of equal tokens, or of two values.
    private static func isAligned(
        _ left: MinerTokens,
        _ leftRange: Range<Int>,
        _ right: MinerTokens,
        _ rightRange: Range<Int>
    ) -> Bool {
        guard leftRange.count == rightRange.count else { return false }
        for (leftIndex, rightIndex) in zip(leftRange, rightRange)
        where left.tokens[leftIndex].kind == .mark || right.tokens[rightIndex].kind == .mark {
            if !isEqual(left, leftIndex, right, rightIndex) { return false }
        }
        return true
    }

    /// `<NUM>` or `<HEX>`: a number in a column that shows letters on other days is hexadecimal on all.
    private static func isNumber(_ tokens: MinerTokens, _ index: Int, _ scan: borrowing MinerScan) -> Bool {
        let token = tokens.tokens[index]
        guard token.kind == .placeholder else { return false }
        let bytes = tokens.bytes + Int(token.start)
        let count = Int(token.end - token.start)
        return scan.isWritten(.num, at: bytes, count: count) || scan.isWritten(.hex, at: bytes, count: count)
    }

    /// A fixed order of two runs of marks: the shorter one first, then by bytes.
    private static func precedes(
        _ left: MinerTokens,
        _ leftRange: Range<Int>,
        _ right: MinerTokens,
        _ rightRange: Range<Int>
    ) -> Bool {
        guard let leftFirst = leftRange.first, let leftLast = leftRange.last else { return true }
        guard let rightFirst = rightRange.first, let rightLast = rightRange.last else { return false }
        let leftStart = Int(left.tokens[leftFirst].start)
        let rightStart = Int(right.tokens[rightFirst].start)
        let leftCount = Int(left.tokens[leftLast].end) - leftStart
        let rightCount = Int(right.tokens[rightLast].end) - rightStart
        guard leftCount == rightCount else { return leftCount < rightCount }
        for offset in 0..<leftCount where left.bytes[leftStart + offset] != right.bytes[rightStart + offset] {
            return left.bytes[leftStart + offset] < right.bytes[rightStart + offset]
        }
        return true
    }
}
