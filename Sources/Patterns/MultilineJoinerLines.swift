internal import LogModel

/// What is held for a source, as far as it decides which line belongs to it.
enum MultilineMode: Equatable {
    /// Nothing that goes on. Only an answer, never held.
    case none
    /// An indented line without the one above it. Only an answer, held as `plain`.
    case indented
    /// An ordinary line: indented lines go with it, and the trace it announces.
    case plain
    /// After `Traceback (most recent call last):`, before the line that names the exception.
    case python
    /// After that line. `isBlank`: a blank line came since; `isChained`: and the sentence that announces the next one.
    case pythonEnd(isBlank: Bool, isChained: Bool)
    /// After `ValueError: x`, `java.io.IOException: x` or the like. `isBlank`: a blank line came last.
    case exception(isBlank: Bool)
    /// After `/srv/app.js:10`, where Node.js shows the source line before it names the error.
    case nodeSource
    case go
    /// After `thread 'main' panicked at`. `awaitsMessage`: the message is on the next line (since Rust 1.73).
    case rust(awaitsMessage: Bool)
    /// A backtrace of Swift, C or C++, of PHP or of the kernel.
    case native
}

/// Decides by the form of a line where a trace begins and how it goes on. Pure functions; each looks at a line's first word,
/// and further only where that word may begin a trace.
enum MultilineLine {
    /// Of a longer line, only this much is searched for a word that is not at its head.
    private static var searchByteCountMax: Int { 512 }

    // MARK: Begin

    /// Whether a line begins nothing, told by its first bytes: nearly every line is, and ``start(of:)`` says `.none` of it.
    ///
    /// The phrases that begin a trace are told by their first four bytes. What begins with a class or the name of a file
    /// has a colon in its first word, or is one word alone.
    @inline(__always)
    static func isOrdinary(_ line: ByteView) -> Bool {
        guard line.count >= MessageBlock.byteCount, let bytes = line.baseAddress else { return false }
        let first = bytes[0]
        if first <= 0x20 || first == UInt8(ascii: "#") || first == UInt8(ascii: "=") { return false }
        guard MessageBlock(at: bytes).endsWordWithoutColon else { return false }
        return !mayBegin(UInt32(littleEndian: UnsafeRawPointer(bytes).loadUnaligned(as: UInt32.self)))
    }

    /// The first four bytes of the phrases that ``traceStart(_:_:)`` and ``isBacktraceTitle(_:)`` know.
    @inline(__always)
    private static func mayBegin(_ head: UInt32) -> Bool {
        switch head {
        case 0x6361_7254: true  // Trac
        case 0x6572_6854: true  // Thre
        case 0x6563_7845: true  // Exce
        case 0x6168_6E55: true  // Unha
        case 0x6163_6E55: true  // Unca
        case 0x696E_6170: true  // pani
        case 0x6F72_6F67: true  // goro
        case 0x6174_6166: true  // fata
        case 0x6572_6874: true  // thre
        case 0x6B63_6142: true  // Back
        case 0x6B63_6162: true  // back
        case 0x6C6C_6143: true  // Call
        case 0x6361_7453: true  // Stac
        case 0x6361_7473: true  // stac
        case 0x6174_6146: true  // Fata
        case 0x2050_4850: true  // PHP and a blank
        case 0x202A_2A2A: true  // three stars and a blank
        default: false
        }
    }

    /// What a line begins when nothing is held; `.none` for nearly all.
    static func start(of line: ByteView) -> MultilineMode {
        guard let first = line.first else { return .none }
        if isBlank(first) { return isIndented(line) && !hasLineFeed(line) ? .indented : .none }
        let mode = traceStart(line, first)
        // A record with line feeds in it was joined by its sender.
        return mode == .none || hasLineFeed(line) ? .none : mode
    }

    /// The first byte chooses the phrases to compare with.
    private static func traceStart(_ line: ByteView, _ first: UInt8) -> MultilineMode {
        switch first {
        case UInt8(ascii: "T"):
            // CPython, Lib/traceback.py.
            if line.begins(with: "Traceback (most recent call last") { return .python }
            if line.begins(with: "Thread "), line.ends(with: "crashed:") { return .native }
        case UInt8(ascii: "E"):
            // java.lang.ThreadGroup; the second is asyncio and `ExceptionGroup`.
            if line.begins(with: "Exception in thread ") { return .exception(isBlank: false) }
        case UInt8(ascii: "U"):
            // .NET; Node.js for a promise nobody waits for.
            if line.begins(with: "Unhandled exception") || line.begins(with: "Uncaught ") {
                return .exception(isBlank: false)
            }
        case UInt8(ascii: "p"):
            if line.begins(with: "panic: ") { return .go }
        case UInt8(ascii: "g"):
            if line.begins(with: "goroutine "), line.ends(with: ":") { return .go }
        case UInt8(ascii: "f"):
            if line.begins(with: "fatal error: ") { return .go }
        case UInt8(ascii: "t"):
            if line.begins(with: "thread '"), line.contains("panicked at", within: searchByteCountMax) {
                return .rust(awaitsMessage: line.ends(with: ":"))
            }
        case UInt8(ascii: "B"), UInt8(ascii: "C"), UInt8(ascii: "S"), UInt8(ascii: "s"), UInt8(ascii: "b"):
            if isBacktraceTitle(line) { return .native }
        case UInt8(ascii: "F"):
            if line.begins(with: "Fatal error: ") || line.begins(with: "Fatal signal ") { return .native }
        case UInt8(ascii: "P"):
            if line.begins(with: "PHP Fatal error: ") || line.begins(with: "PHP Stack trace:") { return .native }
        case UInt8(ascii: "*"):
            // The Swift runtime and glibc.
            if line.begins(with: "*** Program crashed") || line.begins(with: "*** Signal ")
                || line.begins(with: "*** Error in ")
            {
                return .native
            }
        case UInt8(ascii: "#"):
            if isNumberedFrame(line) { return .native }
        case UInt8(ascii: "="):
            // AddressSanitizer: `==123==ERROR: `.
            if line.begins(with: "=="), line.contains("==ERROR: ", within: 32) { return .native }
        default: break
        }
        return isException(line) ? .exception(isBlank: false) : sourcePlace(line)
    }

    private static func isBacktraceTitle(_ line: ByteView) -> Bool {
        line.isText("Backtrace:") || line.isText("backtrace:") || line.isText("Stack trace:")
            || line.isText("Call Trace:")
            || line.isText("stack backtrace:") || line.isText("Call trace:") || line.begins(with: "Stack dump:")
            || line.isText("Stack:")
    }

    /// `/srv/app.js:10` alone (Node.js shows the place first), `app.rb:12:in 'run': text (Error)`.
    private static func sourcePlace(_ line: ByteView) -> MultilineMode {
        let end = wordEnd(line)
        guard end >= 5, end < 256 else { return .none }
        if end == line.count {
            var index = end
            while index > 0, isDigit(line[index - 1]) { index -= 1 }
            guard index < end, index > 4, line[index - 1] == UInt8(ascii: ":") else { return .none }
            let name = ByteView(rebasing: line[..<(index - 1)])
            let isScript =
                name.ends(with: ".js") || name.ends(with: ".mjs") || name.ends(with: ".cjs")
                || name.ends(with: ".ts") || name.begins(with: "node:")
            return isScript ? .nodeSource : .none
        }
        guard line.begins(with: "in ", at: end + 1) || line[end - 1] == UInt8(ascii: "n"),
            ByteView(rebasing: line[..<end]).contains(".rb:", within: 256), line.contains(":in ", within: 300)
        else { return .none }
        return .exception(isBlank: false)
    }

    /// `ValueError: x`, `java.lang.IllegalStateException`, `System.IO.IOException: x`, `Error: x`: a dotted name whose last
    /// part is a class called after what went wrong, then a colon and a blank, or nothing.
    static func isException(_ line: ByteView) -> Bool {
        var index = 0
        let limit = min(line.count, 160)
        var partStart = 0
        while index < limit {
            let byte = line[index]
            if byte == UInt8(ascii: ".") || byte == UInt8(ascii: "$") {
                partStart = index + 1
            } else if !isName(byte) {
                break
            }
            index &+= 1  // below `limit`
        }
        guard index - partStart >= 5, isCapital(line[partStart]) else { return false }
        if index < line.count {
            guard line[index] == UInt8(ascii: ":"), index + 1 == line.count || line[index + 1] == UInt8(ascii: " ")
            else {
                return false
            }
        } else if partStart == 0 {
            // A lone word is a name in a list more often than an exception.
            return false
        }
        let name = ByteView(rebasing: line[partStart..<index])
        return name.ends(with: "Error") || name.ends(with: "Exception") || name.ends(with: "Throwable")
            || name.ends(with: "ExceptionGroup")
    }

    // MARK: Go on

    /// What is held after `line` joined it, or `nil` when the line does not belong to it.
    static func mode(after mode: MultilineMode, _ line: ByteView) -> MultilineMode? {
        switch mode {
        case .none, .indented: nil
        case .plain: afterPlain(line)
        case .python: afterPython(line)
        case .pythonEnd(let isBlank, let isChained): afterPythonEnd(line, isBlank, isChained)
        case .exception(let isBlank): afterException(line, isBlank)
        case .nodeSource: afterNodeSource(line)
        case .go: afterGo(line)
        case .rust(let awaitsMessage): afterRust(line, awaitsMessage)
        case .native: isNative(line) ? .native : nil
        }
    }

    private static func afterPlain(_ line: ByteView) -> MultilineMode? {
        guard let first = line.first else { return nil }
        if isBlank(first) { return isIndented(line) ? .plain : nil }
        // The trace under the message of the logger that printed it.
        let start = traceStart(line, first)
        return start == .none || hasLineFeed(line) ? nil : start
    }

    private static func afterPython(_ line: ByteView) -> MultilineMode? {
        guard let first = line.first else { return .python }
        if isBlank(first) { return .python }
        // A second traceback, or a log line that came in between, never has the form of a class name.
        return isPythonException(line) ? .pythonEnd(isBlank: false, isChained: false) : nil
    }

    /// The last line of a traceback: the class, with its module, then a colon or nothing. Any class can be raised.
    private static func isPythonException(_ line: ByteView) -> Bool {
        var index = 0
        let limit = min(line.count, 160)
        while index < limit, isName(line[index]) || line[index] == UInt8(ascii: ".") { index += 1 }
        guard index >= 3, index == line.count || line[index] == UInt8(ascii: ":") else { return false }
        // `INFO:root:text` is a line of Python's logging, not an exception.
        return index == line.count || index + 1 == line.count || line[index + 1] == UInt8(ascii: " ")
    }

    private static func afterPythonEnd(_ line: ByteView, _ isBlank: Bool, _ isChained: Bool) -> MultilineMode? {
        guard let first = line.first else { return .pythonEnd(isBlank: true, isChained: isChained) }
        if isBlank {
            if isChained {
                return line.begins(with: "Traceback (most recent call last") ? .python : nil
            }
            let isChain =
                line.begins(with: "During handling of the above exception")
                || line.begins(with: "The above exception was the direct cause")
            return isChain ? .pythonEnd(isBlank: false, isChained: true) : nil
        }
        // A message of several lines.
        return self.isBlank(first) && isIndented(line) ? .pythonEnd(isBlank: false, isChained: isChained) : nil
    }

    private static func afterException(_ line: ByteView, _ followsBlank: Bool) -> MultilineMode? {
        guard let first = line.first else { return followsBlank ? nil : .exception(isBlank: true) }
        if isBlank(first) { return .exception(isBlank: false) }
        switch first {
        case UInt8(ascii: "C"): if line.begins(with: "Caused by: ") { return .exception(isBlank: false) }
        case UInt8(ascii: "S"):
            if line.begins(with: "Suppressed: ") || line.isText("Stack trace:") { return .exception(isBlank: false) }
        case UInt8(ascii: "a"): if line.begins(with: "at ") { return .exception(isBlank: false) }
        case UInt8(ascii: "."):
            if line.begins(with: "... "), line.ends(with: " more") { return .exception(isBlank: false) }
        case UInt8(ascii: "-"):
            // .NET.
            if line.begins(with: "--- End of ") || line.begins(with: "---> ") { return .exception(isBlank: false) }
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            // Node.js prints the error's properties in braces behind the frames.
            if line.count <= 2 { return .exception(isBlank: false) }
        case UInt8(ascii: "E"):
            // Node.js says where an event came from that nobody listened to.
            if line.begins(with: "Emitted 'error' event") { return .exception(isBlank: false) }
        case UInt8(ascii: "N"):
            if followsBlank, line.begins(with: "Node.js v") { return .exception(isBlank: false) }
        case UInt8(ascii: "#"): if isNumberedFrame(line) { return .exception(isBlank: false) }
        default: break
        }
        return nil
    }

    private static func afterNodeSource(_ line: ByteView) -> MultilineMode? {
        guard let first = line.first else { return .nodeSource }
        // The source line, as it stands in the file, and the caret.
        if isBlank(first) || line.begins(with: "throw ") { return .nodeSource }
        return isException(line) || line.begins(with: "Uncaught ") || line.begins(with: "[UnhandledPromiseRejection")
            ? .exception(isBlank: false) : nil
    }

    private static func afterGo(_ line: ByteView) -> MultilineMode? {
        guard let first = line.first else { return .go }
        if isBlank(first) { return .go }
        let isGo: Bool =
            switch first {
            case UInt8(ascii: "g"): line.begins(with: "goroutine ") || isCall(line)
            case UInt8(ascii: "["): line.begins(with: "[signal ") || line.begins(with: "[recovered")
            case UInt8(ascii: "c"): line.begins(with: "created by ") || isCall(line)
            case UInt8(ascii: "e"): line.begins(with: "exit status ") || isCall(line) || isRegister(line)
            case UInt8(ascii: "."): line.begins(with: "...")
            case UInt8(ascii: "r"), UInt8(ascii: "f"), UInt8(ascii: "p"), UInt8(ascii: "l"):
                line.begins(with: "runtime stack:") || isCall(line) || isRegister(line)
            default: isCall(line)
            }
        return isGo ? .go : nil
    }

    /// `main.(*T).run(0xc000, {0x1, 0x2})`: one word up to its bracket, and a bracket at the end.
    private static func isCall(_ line: ByteView) -> Bool {
        guard line.last == UInt8(ascii: ")") else { return false }
        var index = 0
        var hasDot = false
        while index < line.count, line[index] > 0x20, line[index] != UInt8(ascii: "(") || hasReceiver(line, index) {
            hasDot = hasDot || line[index] == UInt8(ascii: ".") || line[index] == UInt8(ascii: "/")
            index += 1
        }
        return index > 2 && index < line.count && line[index] == UInt8(ascii: "(")
            && (hasDot || line.begins(with: "panic("))
    }

    /// The bracket of a receiver, `(*T)`, belongs to the name.
    private static func hasReceiver(_ line: ByteView, _ index: Int) -> Bool {
        index + 1 < line.count && line[index + 1] == UInt8(ascii: "*")
    }

    private static func afterRust(_ line: ByteView, _ awaitsMessage: Bool) -> MultilineMode? {
        guard let first = line.first else { return nil }
        if isBlank(first) || line.begins(with: "stack backtrace:") || line.begins(with: "note: ") {
            return .rust(awaitsMessage: false)
        }
        return awaitsMessage && traceStart(line, first) == .none ? .rust(awaitsMessage: false) : nil
    }

    private static func isNative(_ line: ByteView) -> Bool {
        guard let first = line.first, !isBlank(first) else { return true }
        switch first {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return isNativeFrame(line)
        case UInt8(ascii: "#"): return isNumberedFrame(line)
        case UInt8(ascii: "T"): return line.begins(with: "Thread ")
        case UInt8(ascii: "R"):
            return line.begins(with: "Registers:") || line.begins(with: "RIP: ") || line.begins(with: "RSP: ")
        case UInt8(ascii: "I"):
            return line.begins(with: "Images (") || line.begins(with: "Illegal instruction")
        case UInt8(ascii: "P"): return line.begins(with: "Platform: ") || line.begins(with: "PHP ")
        case UInt8(ascii: "C"):
            return line.begins(with: "Crash") || line.begins(with: "Code: ") || line.begins(with: "Call ")
                || line.begins(with: "Current stack trace:")
        case UInt8(ascii: "B"), UInt8(ascii: "S"), UInt8(ascii: "b"):
            return isBacktraceTitle(line) || line.begins(with: "Backtrace took ")
                || line.begins(with: "SUMMARY: AddressSanitizer")
        case UInt8(ascii: "*"): return line.begins(with: "*** ")
        case UInt8(ascii: "="): return line.begins(with: "==")
        case UInt8(ascii: "-"): return line.begins(with: "---[ ")
        case UInt8(ascii: "["): return line.begins(with: "[bt]") || line.begins(with: "[0x")
        case UInt8(ascii: "/"), UInt8(ascii: "."):
            // glibc's backtrace_symbols(3): `./prog(main+0x1b)[0x55d5]`.
            return line.ends(with: "]") && line.contains("[0x", within: searchByteCountMax)
        default: return isRegister(line)
        }
    }

    /// `0 0x00005581 in main at /x.swift:3`, `12: 0x5581 - core::panic`, `3   libc.so  0x7f`: a small number first, an
    /// address or the word `in` behind it. A date or a count is neither.
    private static func isNativeFrame(_ line: ByteView) -> Bool {
        if line.begins(with: "0x") { return true }
        var index = 0
        while index < line.count, index < 5, isDigit(line[index]) { index += 1 }
        guard index < 5, index < line.count else { return false }
        guard
            isBlank(line[index]) || line[index] == UInt8(ascii: ":") || line[index] == UInt8(ascii: ".")
                || isBar(line, index)
        else { return false }
        return line[index] == UInt8(ascii: ".") && index + 1 < line.count && line[index + 1] == 0x09
            || line.contains("0x", within: 128) || line.contains(" in ", within: 128) || line.contains("│", within: 16)
    }

    /// Swift shows source lines as `10│ text`.
    private static func isBar(_ line: ByteView, _ index: Int) -> Bool {
        line.begins(with: "│", at: index)
    }

    /// `#0 0x…` (gdb, AddressSanitizer), `#3 /x.php(12): f()` (PHP), `#0  main () at x.c:3`.
    private static func isNumberedFrame(_ line: ByteView) -> Bool {
        var index = 1
        while index < line.count, index < 5, isDigit(line[index]) { index += 1 }
        guard index > 1, index < line.count, line[index] == UInt8(ascii: " ") else { return false }
        return line.contains("0x", within: 16) || line.contains("(", within: searchByteCountMax)
            || line.contains("{main}", within: 16)
    }

    /// `rax 0x0000 …`, `x29    0x16f0`, `r12=0x0`: a short lower-case name and an address.
    private static func isRegister(_ line: ByteView) -> Bool {
        var index = 0
        while index < line.count, index < 7, isName(line[index]), !isCapital(line[index]) { index += 1 }
        guard index >= 2, index < 7 else { return false }
        while index < line.count,
            isBlank(line[index]) || line[index] == UInt8(ascii: "=") || line[index] == UInt8(ascii: ":")
        {
            index += 1
        }
        return line.begins(with: "0x", at: index)
    }

    // MARK: Bytes

    /// A tab, or two blanks: one blank begins lines that were padded.
    static func isIndented(_ line: ByteView) -> Bool {
        guard let first = line.first else { return false }
        return first == 0x09 || (first == 0x20 && line.count > 1 && isBlank(line[1]))
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isCapital(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") }

    private static func isName(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")) || isDigit(byte)
            || byte == UInt8(ascii: "_")
    }

    private static func wordEnd(_ line: ByteView) -> Int {
        var index = 0
        while index < line.count, index < 256, line[index] > 0x20 { index += 1 }
        return index
    }

    private static func hasLineFeed(_ line: ByteView) -> Bool { line.contains(UInt8(ascii: "\n")) }
}

extension UnsafeBufferPointer<UInt8> {
    fileprivate func begins(with text: StaticString, at start: Int = 0) -> Bool {
        guard start >= 0, start + text.utf8CodeUnitCount <= count else { return false }
        for index in 0..<text.utf8CodeUnitCount where self[start + index] != text.utf8Start[index] { return false }
        return true
    }

    fileprivate func ends(with text: StaticString) -> Bool {
        begins(with: text, at: count - text.utf8CodeUnitCount)
    }

    fileprivate func isText(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && begins(with: text)
    }

    /// Whether `text` occurs in the first `limit` bytes.
    fileprivate func contains(_ text: StaticString, within limit: Int) -> Bool {
        var index = 0
        let end = Swift.min(count, limit) - text.utf8CodeUnitCount
        while index <= end {
            if begins(with: text, at: index) { return true }
            index += 1
        }
        return false
    }
}
