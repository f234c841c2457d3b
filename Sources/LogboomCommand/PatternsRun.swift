import Glibc
import JSONBytes
import LogModel
import Patterns
import RecordDecoding

/// What was read, and what became of it. `lineCount` counts lines that are not empty.
struct PatternsTotals {
    var byteCount = 0
    var lineCount = 0
    var recordCount = 0
    var emptyLineCount = 0
    /// Longer than a record may be; counted by their beginning.
    var cutLineCount = 0
    /// Lines that are not of their file's kind.
    var textLineCount = 0
    /// Journal entries that have no message.
    var withoutMessageCount = 0
    /// Values replaced because they are secrets.
    var redactionCount = 0
    /// Files, not lines.
    var unreadableCount = 0
    var wasInterrupted = false
    var duration = Duration.zero
}

/// One file as it was read.
struct PatternsInput {
    var name: String
    /// `nil`: there was no line in it.
    var format: LineFormat?
    var lineCount = 0
}

/// Reads files and counts their records. Memory does not depend on how much there is to read.
struct PatternsRun: ~Copyable {
    private(set) var totals = PatternsTotals()
    private(set) var inputs: [PatternsInput] = []
    private var counter: PatternCounter
    private var reader = LineReader()
    private var journal = JournalReader()
    private let decoder = BodyDecoder()
    private let fixedFormat: LineFormat?
    private var numbers: NumberFile?
    /// `nil`: each line of text is a record.
    private var joining: LineJoining?

    /// - Parameters:
    ///   - keepsNumbers: whether ``writeEach(_:to:)`` will be called.
    ///   - joinsLines: whether the lines of a stack trace are one record.
    /// - Throws: as ``NumberFile``.
    init(patternCountMax: Int, format: LineFormat?, keepsNumbers: Bool, joinsLines: Bool) throws {
        counter = PatternCounter(patternCountMax: patternCountMax)
        fixedFormat = format
        numbers = keepsNumbers ? try NumberFile() : nil
        joining = joinsLines ? LineJoining() : nil
    }

    /// Reads the files in order, `-` being standard input. One that cannot be read costs a sentence on standard error and
    /// no other file.
    mutating func readAll(_ names: [String], progress: ProgressBar?) {
        var progress = progress
        let start = ContinuousClock.now
        progress?.byteCountTotal = Self.byteCount(of: names)
        for name in names where !Interruption.wasAsked {
            inputs.append(PatternsInput(name: name == "-" ? "standard input" : name))
            let reason = read(name, &progress)
            // A trace does not go on in the next file.
            joining?.flush(&counter, &numbers)
            if let reason {
                totals.unreadableCount += 1
                progress?.clear()
                Output.error.write("logboom: read \(DisplayText.clean(inputs[inputs.count - 1].name)): \(reason)\n")
            }
        }
        progress?.clear()
        totals.recordCount = counter.recordCount
        totals.redactionCount = counter.redactionCount
        totals.wasInterrupted = Interruption.wasAsked
        totals.duration = ContinuousClock.now - start
    }

    /// Ends the counting.
    mutating func finish() -> CountedPatterns {
        counter.finish()
    }

    /// How one line becomes a pattern, by what was learned so far.
    mutating func explain(_ line: [UInt8]) -> PatternExplanation {
        line.withUnsafeBufferPointer { PatternExplanation($0, counter: &counter) }
    }

    /// Prints the pattern of each line; an empty line, and one that has no message, gives an empty line.
    mutating func writeEach(_ counted: CountedPatterns, to output: Output) throws {
        guard numbers != nil else { return }
        let lines = counted.patterns.map { pattern in
            Array((DisplayText.clean(PatternsReport.visible(pattern.text)) + "\n").utf8)
        }
        var text: [UInt8] = []
        text.reserveCapacity(1 << 16)
        try numbers?.forEach { number in
            if number < 0 {
                text.append(0x0A)
            } else {
                text += lines[Int(counted.rowOfNumber[Int(number)])]
            }
            guard text.count >= 1 << 16 else { return true }
            defer { text.removeAll(keepingCapacity: true) }
            return output.write(text)
        }
        output.write(text)
    }

    /// Bytes to read; `nil` when that cannot be known.
    private static func byteCount(of names: [String]) -> Int? {
        var sum = 0
        for name in names {
            var status = stat()
            guard name != "-" || fstat(STDIN_FILENO, &status) == 0, name == "-" || stat(name, &status) == 0 else {
                continue
            }
            // What cannot be read gives no bytes.
            if status.st_mode & S_IFMT == S_IFDIR { continue }
            guard status.st_mode & S_IFMT == S_IFREG else { return nil }
            sum += Int(status.st_size)
        }
        return sum
    }

    /// `nil` when it was read to its end, or Ctrl-C came; else why not.
    private mutating func read(_ name: String, _ progress: inout ProgressBar?) -> String? {
        let descriptor = name == "-" ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC)
        // Opening a pipe waits for its writer, and Ctrl-C ends that too.
        guard descriptor >= 0 else { return errno == EINTR && Interruption.wasAsked ? nil : Self.reason(errno) }
        defer { if descriptor != STDIN_FILENO { close(descriptor) } }
        var status = stat()
        let mayWait = fstat(descriptor, &status) != 0 || status.st_mode & S_IFMT != S_IFREG
        var isStart = true
        while true {
            if mayWait { Interruption.waitForInput(descriptor) }
            if Interruption.wasAsked { break }
            let (piece, byteCount) = reader.fill(from: descriptor)
            switch piece {
            case .interrupted: continue
            case .failed(let code):
                // The line it broke off in belongs to no record.
                _ = reader.last()
                return Self.reason(code)
            case .end:
                if isStart, reader.beginsCompressed { return compressed() }
                if let line = reader.last() { take(line, wasCut: false, &isStart) }
                return nil
            case .more:
                totals.byteCount += byteCount
                if isStart, reader.beginsCompressed { return compressed() }
                while let (line, wasCut) = reader.next() {
                    take(line, wasCut: wasCut, &isStart)
                }
                progress?.update(byteCount: totals.byteCount, lineCount: totals.lineCount)
            }
        }
        // What was counted stays; the line that Ctrl-C cut in two does not count.
        _ = reader.last()
        return nil
    }

    private mutating func compressed() -> String {
        _ = reader.last()
        return "it is compressed: zcat FILE | logboom patterns -"
    }

    private static func reason(_ code: Int32) -> String {
        code == EISDIR ? "it is a directory" : "\(String(cString: strerror(code))) (errno \(code))"
    }

    // MARK: Lines

    @inline(__always)
    private mutating func take(_ whole: ByteView, wasCut: Bool, _ isStart: inout Bool) {
        var line = whole
        if isStart {
            isStart = false
            // A byte order mark is no text, but Windows tools write it.
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line = ByteView(rebasing: line[3...]) }
        }
        guard !Self.isBlank(line) else {
            totals.emptyLineCount += 1
            // Traces have blank lines in them.
            if joining?.takeBlank(&counter, &numbers) != true { numbers?.append(-1) }
            return
        }
        totals.lineCount += 1
        let input = inputs.count - 1
        inputs[input].lineCount += 1
        let format: LineFormat
        if let known = inputs[input].format {
            format = known
        } else {
            format = fixedFormat ?? LineFormat.detected(in: line)
            inputs[input].format = format
        }
        switch format {
        case .text: text(line, wasCut: wasCut)
        case .ndjson: object(line, wasCut: wasCut)
        case .journal: entry(line, wasCut: wasCut)
        }
    }

    @inline(__always)
    private mutating func text(_ line: ByteView, wasCut: Bool) {
        let message = JSONText.cut(line, byteCountMax: Limits.messageByteCountMax)
        if wasCut || message.count < line.count { totals.cutLineCount += 1 }
        if joining?.take(message, &counter, &numbers) != nil { return }
        let number = counter.count(LogRecord(message: message))
        numbers?.append(number)
    }

    private mutating func object(_ line: ByteView, wasCut: Bool) {
        // A line may hold several records (`{"logs": […]}`): all are counted, the first is the line's.
        var first: Int32?
        var cutCount = 0
        if line.first == UInt8(ascii: "{") {
            joining?.flush(&counter, &numbers)
            let outcome = decoder.decode(line, contentType: Self.lines, rules: RecordRules()) { record in
                let number = counter.count(record)
                if first == nil { first = number }
                return nil
            }
            if case .success(let summary) = outcome { cutCount = summary.truncated }
        }
        guard let first else { return otherwise(line, wasCut: wasCut) }
        totals.cutLineCount += cutCount
        numbers?.append(first)
    }

    private mutating func entry(_ line: ByteView, wasCut: Bool) {
        switch journal.read(line) {
        case .record(let record):
            joining?.flush(&counter, &numbers)
            let number = counter.count(record)
            numbers?.append(number)
        case .withoutMessage:
            joining?.flush(&counter, &numbers)
            totals.withoutMessageCount += 1
            numbers?.append(-1)
        case .noEntry: return otherwise(line, wasCut: wasCut)
        }
    }

    /// Programs print plain lines between their objects: a banner, a trace. They count by their text.
    private mutating func otherwise(_ line: ByteView, wasCut: Bool) {
        totals.textLineCount += 1
        text(line, wasCut: wasCut)
    }

    @inline(__always)
    private static func isBlank(_ line: ByteView) -> Bool {
        for byte in line where byte > 0x20 { return false }
        return true
    }

    private static var lines: ByteView {
        let type: StaticString = "application/x-ndjson"
        return ByteView(start: type.utf8Start, count: type.utf8CodeUnitCount)
    }
}
