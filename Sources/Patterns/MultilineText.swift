public import LogModel

/// Cuts a text that is in memory as a whole into records: a line each, and the lines of one stack trace together.
///
/// The rules are those of ``MultilineJoiner``; since all lines are at hand, nothing is copied, held or timed, and an ordinary
/// line goes with the indented lines below it from the first time on. A trace that follows an ordinary line is a record of
/// its own: nothing says that the two belong together.
///
/// Guarantees: every line that is not blank is in exactly one record, in order; a record is at most
/// ``MultilineJoiner/byteCountMax`` bytes and ``MultilineJoiner/lineCountMax`` lines, unless a single line is longer; it
/// begins and ends with a line that is not blank. Linear: each line is looked at twice.
public struct MultilineText {
    private let text: ByteView
    /// The line that comes next, without its line feed; its end is where the text ends when `start` is there.
    private var start = 0
    private var end = 0
    /// A trace that reached a bound goes on as a record of its own.
    private var carried: MultilineMode?

    /// The records of `text`, which must stay valid while they are used.
    public init(_ text: ByteView) {
        self.text = text
        end = lineEnd(from: 0)
    }

    /// The next record, without the line feed behind it; lines in it are parted as they were in the text.
    public mutating func next() -> ByteView? {
        while start < text.count, isBlank(line) { advance() }
        guard start < text.count else { return nil }
        let recordStart = start
        var recordEnd = start + line.count
        var lineCount = 1
        var mode = carried ?? (MultilineLine.isOrdinary(line) ? .plain : MultilineLine.start(of: line))
        carried = nil
        if mode == .none || mode == .indented { mode = .plain }
        advance()
        while start < text.count {
            let isBlank = isBlank(line)
            let line = isBlank ? ByteView(rebasing: text[start..<start]) : line
            guard mode != .plain || MultilineLine.isIndented(line),
                let next = MultilineLine.mode(after: mode, line)
            else { break }
            let lineEnd = start + line.count
            if lineCount == MultilineJoiner.lineCountMax || lineEnd - recordStart > MultilineJoiner.byteCountMax {
                carried = next
                break
            }
            mode = next
            lineCount += 1
            if !isBlank { recordEnd = lineEnd }
            advance()
        }
        return ByteView(rebasing: text[recordStart..<recordEnd])
    }

    /// Without a carriage return at its end.
    private var line: ByteView {
        let hasReturn = end > start && text[end - 1] == 0x0D
        return ByteView(rebasing: text[start..<(hasReturn ? end - 1 : end)])
    }

    private mutating func advance() {
        start = end + 1
        if start < text.count { end = lineEnd(from: start) }
    }

    /// Eight bytes at a time: the exclusive or leaves zero where there is a line feed, and the lowest zero byte of a word is
    /// found exactly by what it borrows.
    private func lineEnd(from start: Int) -> Int {
        var end = start
        guard let base = text.baseAddress else { return end }
        while end &+ 8 <= text.count {
            let bytes = UnsafeRawPointer(base + end).loadUnaligned(as: UInt64.self)
            let word = UInt64(littleEndian: bytes) ^ 0x0A0A_0A0A_0A0A_0A0A
            let feeds = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if feeds != 0 { return end &+ feeds.trailingZeroBitCount / 8 }
            end &+= 8
        }
        while end < text.count, text[end] != 0x0A { end &+= 1 }
        return end
    }

    private func isBlank(_ line: ByteView) -> Bool {
        for byte in line where byte > 0x20 { return false }
        return true
    }
}
