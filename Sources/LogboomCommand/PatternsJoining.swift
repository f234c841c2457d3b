import LogModel
import Patterns

/// Makes one record of the lines of a stack trace, and keeps a number for each line of it.
///
/// A file has no clock: a line comes a nanosecond after the one before, so the joiner's bounds in lines and bytes hold and
/// those in time never do. Whoever reads flushes at the end of a file and before a record that is no line of text.
struct LineJoining: ~Copyable {
    /// One file is read at a time.
    private static let source: UInt64 = 0

    private var joiner = MultilineJoiner()
    private var lineCount: Int64 = 0
    /// Whether each line that waits is blank; kept only when numbers are.
    private var blanks: [Bool] = []

    /// Counts what leaves the joiner with this line, which may be nothing.
    @inline(__always)
    mutating func take(_ line: ByteView, _ counter: inout PatternCounter, _ numbers: inout NumberFile?) {
        if numbers != nil { blanks.append(line.isEmpty) }
        lineCount += 1
        _ = joiner.accept(line, source: Self.source, tag: 0, now: MonotonicTime(nanoseconds: lineCount)) { joined in
            Self.count(joined, &counter, &numbers, &blanks)
        }
    }

    /// Takes a blank line if a trace may go on behind it; else it is the caller's.
    mutating func takeBlank(_ counter: inout PatternCounter, _ numbers: inout NumberFile?) -> Bool {
        guard joiner.byteCount > 0 else { return false }
        take(ByteView(start: nil, count: 0), &counter, &numbers)
        return true
    }

    /// Counts what waits.
    mutating func flush(_ counter: inout PatternCounter, _ numbers: inout NumberFile?) {
        guard joiner.byteCount > 0 else { return }
        joiner.flush { joined in Self.count(joined, &counter, &numbers, &blanks) }
    }

    @inline(__always)
    private static func count(
        _ joined: MultilineJoiner.Joined,
        _ counter: inout PatternCounter,
        _ numbers: inout NumberFile?,
        _ blanks: inout [Bool]
    ) {
        var text = joined.text
        // Blank lines were taken because more might have followed.
        while text.last == 0x0A { text = ByteView(rebasing: text.dropLast()) }
        let number = text.isEmpty ? -1 : counter.count(LogRecord(message: text))
        guard numbers != nil else { return }
        for isBlank in blanks.prefix(joined.lineCount) { numbers?.append(isBlank ? -1 : number) }
        blanks.removeFirst(joined.lineCount)
    }
}
