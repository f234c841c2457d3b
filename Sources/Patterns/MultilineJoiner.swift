public import LogModel

/// Joins the lines of a stack trace into the one record they belong to.
///
/// Programs print a trace line by line, and what reads their output (journald, a log file) makes a record of every line.
/// Without joining, one crash is thirty patterns that mean nothing. The joiner keeps what a source said last, when that may
/// go on, until a line comes that does not belong to it, or time, bytes or lines run out.
///
/// Known: Python, Java, Node.js, Go, Rust, Swift and C, Ruby, .NET and PHP traces, and lines that go on by indentation.
/// A line that begins no trace is not kept back, so a message printed *above* its indented lines leaves alone at first.
/// A source that was seen to indent is remembered, and from then on its ordinary lines wait for the next one too.
///
/// Guarantees: every line leaves exactly once, in a joined record or alone, and those of one source in the order they came;
/// joined lines have a line feed between them. Not guaranteed: the order between sources.
///
/// Pure: reads no clock, and calls out only to hand over records. The usual line (begins nothing, nothing is held) passes
/// without a copy after a look at its first word. Bounds: ``byteCountMax``, ``lineCountMax``, ``sourceCountMax``,
/// ``heldByteCountMax``, ``quietMax``, ``holdMax``. Not safe to share between threads.
public struct MultilineJoiner: ~Copyable {
    /// Bytes of a joined record; what comes after is a record of its own. What a message may have at most.
    public static var byteCountMax: Int { Limits.messageByteCountMax }
    /// Lines of a joined record. The deepest traces in practice (recursion, frameworks) have some hundreds.
    public static var lineCountMax: Int { 512 }
    /// Sources remembered at once; for one more, the one that was quiet longest is let go.
    public static var sourceCountMax: Int { 64 }
    /// Bytes held for all sources together: sixteen records of full length, or all sources with ordinary traces.
    public static var heldByteCountMax: Int { 1024 * 1024 }
    /// A trace is printed at once: after so long without a line it is complete.
    public static var quietMax: Duration { .seconds(1) }
    /// And a source that prints a line each half second must not keep its record for ever.
    public static var holdMax: Duration { .seconds(5) }
    /// Lines without indentation after which a source is no longer taken for one that indents.
    static var patienceMax: Int { 256 }

    /// What became of a line.
    public enum Action: Sendable, Equatable {
        /// It waits for more, and leaves with a later call.
        case hold
        /// It left during this call.
        case emit
    }

    /// A record that leaves. Valid during the call that hands it over.
    public struct Joined {
        /// The line itself, or several with line feeds between them.
        public let text: ByteView
        /// What ``accept(_:source:tag:now:emit:)`` was given with the first line.
        public let tag: UInt64
        public let source: UInt64
        public let lineCount: Int
    }

    /// What a source said last.
    private struct Held {
        var tag: UInt64 = 0
        var mode = MultilineMode.plain
        var lineCount = 0
        /// Lines since the last indented one; at `patienceMax` the source is forgotten once nothing is held.
        var patience = 0
        var isIndenting = false
        var first = MonotonicTime(nanoseconds: 0)
        var last = MonotonicTime(nanoseconds: 0)
        var bytes: [UInt8] = []

        var isEmpty: Bool { lineCount == 0 }
    }

    /// The sources remembered, with `held` beside them: a search reads these words and nothing else.
    private var sources: [UInt64] = []
    private var held: [Held] = []
    /// Bytes held for all sources.
    public private(set) var byteCount = 0
    /// Records joined from two lines or more since the start.
    public private(set) var joinedCount = 0
    /// Records that left before their time because a bound was reached.
    public private(set) var boundCount = 0

    public init() {
        sources.reserveCapacity(Self.sourceCountMax)
        held.reserveCapacity(Self.sourceCountMax)
    }

    /// Sources for which something is held.
    public var heldCount: Int { held.count { !$0.isEmpty } }

    /// When ``expire(now:emit:)`` has something to do; `nil` while nothing is held. Linear in the sources remembered.
    public var deadline: MonotonicTime? {
        held.lazy.filter { !$0.isEmpty }.map(Self.deadline).min()
    }

    /// Takes one line. `source` says who printed it (a hash of its names will do); `tag` is the caller's, and comes back
    /// with the record whose first line this is. Calls `emit` for what leaves: what was held for this source, when the line
    /// does not belong to it, and the line itself, unless it is held.
    public mutating func accept(
        _ line: ByteView,
        source: UInt64,
        tag: UInt64,
        now: MonotonicTime,
        emit: (Joined) -> Void
    ) -> Action {
        guard let index = find(source) else {
            if MultilineLine.isOrdinary(line) { return pass(line, source, tag, emit) }
            let start = MultilineLine.start(of: line)
            guard start != .none else { return pass(line, source, tag, emit) }
            return hold(line, start, at: remember(source, now: now, emit), source, tag, now, emit)
        }
        if !held[index].isEmpty {
            if Self.deadline(held[index]) > now, let mode = MultilineLine.mode(after: held[index].mode, line) {
                return join(line, mode, at: index, source, tag, now, emit)
            }
            release(index, emit)
        }
        var start = MultilineLine.start(of: line)
        if start == .none, held[index].isIndenting {
            held[index].patience += 1
            if held[index].patience >= Self.patienceMax { held[index].isIndenting = false }
            // A blank line ends a paragraph; it begins none.
            if !line.isEmpty, held[index].isIndenting { start = .plain }
        }
        guard start != .none else {
            if !held[index].isIndenting { forget(index) }
            return pass(line, source, tag, emit)
        }
        return hold(line, start, at: index, source, tag, now, emit)
    }

    /// Hands over what was quiet for ``quietMax`` or held for ``holdMax``.
    public mutating func expire(now: MonotonicTime, emit: (Joined) -> Void) {
        var index = 0
        while index < held.count {
            if !held[index].isEmpty, Self.deadline(held[index]) <= now { release(index, emit) }
            if held[index].isEmpty, !held[index].isIndenting { forget(index) } else { index += 1 }
        }
    }

    /// Hands over everything: the program stops, or somebody asked for all there is.
    public mutating func flush(emit: (Joined) -> Void) {
        for index in held.indices { release(index, emit) }
        sources.removeAll(keepingCapacity: true)
        held.removeAll(keepingCapacity: true)
    }

    /// Hands over what is held for one source, which ended.
    public mutating func flush(source: UInt64, emit: (Joined) -> Void) {
        guard let index = find(source) else { return }
        release(index, emit)
        forget(index)
    }

    // MARK: Lines

    private func pass(_ line: ByteView, _ source: UInt64, _ tag: UInt64, _ emit: (Joined) -> Void) -> Action {
        emit(Joined(text: line, tag: tag, source: source, lineCount: 1))
        return .emit
    }

    private mutating func hold(
        _ line: ByteView,
        _ start: MultilineMode,
        at index: Int,
        _ source: UInt64,
        _ tag: UInt64,
        _ now: MonotonicTime,
        _ emit: (Joined) -> Void
    ) -> Action {
        // Nothing fits behind a line of full length.
        guard line.count < Self.byteCountMax else {
            boundCount += 1
            return pass(line, source, tag, emit)
        }
        makeRoom(for: line.count, emit)
        if start == .indented { rememberIndenting(index) }
        held[index].tag = tag
        held[index].mode = start == .indented ? .plain : start
        held[index].lineCount = 1
        held[index].first = now
        held[index].last = now
        held[index].bytes.append(contentsOf: line)
        byteCount += line.count
        return .hold
    }

    private mutating func join(
        _ line: ByteView,
        _ mode: MultilineMode,
        at index: Int,
        _ source: UInt64,
        _ tag: UInt64,
        _ now: MonotonicTime,
        _ emit: (Joined) -> Void
    ) -> Action {
        // A trace says nothing about what its source prints between traces.
        if mode == .plain { rememberIndenting(index) }
        if held[index].lineCount >= Self.lineCountMax || held[index].bytes.count + 1 + line.count > Self.byteCountMax {
            // The rest of the trace is one record more, and not a record a line.
            boundCount += 1
            release(index, emit)
            return hold(line, mode, at: index, source, tag, now, emit)
        }
        if byteCount + line.count + 1 > Self.heldByteCountMax {
            boundCount += 1
            release(index, emit)
            return hold(line, mode, at: index, source, tag, now, emit)
        }
        held[index].bytes.append(UInt8(ascii: "\n"))
        held[index].bytes.append(contentsOf: line)
        held[index].lineCount += 1
        held[index].last = now
        held[index].mode = mode
        byteCount += line.count + 1
        return .hold
    }

    private mutating func rememberIndenting(_ index: Int) {
        held[index].isIndenting = true
        held[index].patience = 0
    }

    /// Lets the records go that were quiet longest, until `count` bytes more fit under the bound for all.
    private mutating func makeRoom(for count: Int, _ emit: (Joined) -> Void) {
        while byteCount + count > Self.heldByteCountMax {
            guard let oldest = oldest(where: { !$0.isEmpty }) else { return }
            boundCount += 1
            release(oldest, emit)
        }
    }

    private mutating func release(_ index: Int, _ emit: (Joined) -> Void) {
        guard !held[index].isEmpty else { return }
        if held[index].lineCount > 1 { joinedCount += 1 }
        byteCount -= held[index].bytes.count
        let (tag, lineCount, source) = (held[index].tag, held[index].lineCount, sources[index])
        held[index].bytes.withUnsafeBufferPointer {
            emit(Joined(text: $0, tag: tag, source: source, lineCount: lineCount))
        }
        held[index].lineCount = 0
        // Traces are rare: memory for the longest of each source is not kept.
        held[index].bytes.removeAll(keepingCapacity: held[index].bytes.capacity <= 1024)
    }

    // MARK: Sources

    private func find(_ source: UInt64) -> Int? {
        sources.isEmpty ? nil : sources.firstIndex(of: source)
    }

    private mutating func remember(_ source: UInt64, now: MonotonicTime, _ emit: (Joined) -> Void) -> Int {
        if sources.count == Self.sourceCountMax {
            let victim = oldest(where: \.isEmpty) ?? oldest(where: { _ in true })
            if let victim {
                if !held[victim].isEmpty { boundCount += 1 }
                release(victim, emit)
                forget(victim)
            }
        }
        sources.append(source)
        held.append(Held(first: now, last: now))
        return sources.count - 1
    }

    private mutating func forget(_ index: Int) {
        sources.swapAt(index, sources.count - 1)
        held.swapAt(index, held.count - 1)
        sources.removeLast()
        held.removeLast()
    }

    private func oldest(where isWanted: (Held) -> Bool) -> Int? {
        held.indices.filter { isWanted(held[$0]) }.min { held[$0].last < held[$1].last }
    }

    private static func deadline(_ entry: Held) -> MonotonicTime {
        min(entry.last.advanced(by: quietMax), entry.first.advanced(by: holdMax))
    }
}
