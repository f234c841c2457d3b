/// Reads the text of an environment file as systemd does: `KEY=value` lines, comments that start with `#` or `;`, quotes,
/// backslash escapes and continuation lines (systemd.exec(5), "EnvironmentFile="; the states are those of
/// `parse_env_file_internal` in systemd's src/basic/env-file.c, version 254 and later).
///
/// Where systemd passes over what it cannot use, this reports it, because a mistyped line must not look like a working
/// one: a line without `=`, a name that is no variable name, a quote that is never closed, NUL, and text that is not UTF-8.
package enum EnvironmentFile {
    /// One `KEY=value`, with the line (from 1) on which the key stands.
    package struct Assignment: Sendable, Equatable {
        package var name: String
        package var value: String
        package var line: Int
    }

    /// Something in the file that is not an assignment. Never quotes a value: it may be a secret.
    package struct Flaw: Sendable, Equatable {
        package var line: Int
        package var what: String
        /// Whether the file still means the same to every systemd; such a flaw is worth a warning only.
        package var isWarning: Bool
    }

    /// The longest file that is read, in bytes: the shipped file is below 10 KB.
    package static let byteCountMax = 1 << 20

    /// All assignments in order, repeated names included, and all flaws in order. One pass over `bytes`.
    package static func parse(_ bytes: [UInt8]) -> (assignments: [Assignment], flaws: [Flaw]) {
        var machine = Machine()
        // A byte order mark, as Windows editors write it, is no part of the first key.
        let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        for byte in bytes[start...] {
            machine.take(byte)
        }
        machine.end()
        return (machine.assignments, machine.flaws)
    }

    private enum State {
        case beforeKey, key
        case beforeValue, value, valueEscape
        case singleQuote, doubleQuote, doubleQuoteEscape
        case comment, commentEscape
    }

    private struct Machine {
        var assignments: [Assignment] = []
        var flaws: [Flaw] = []
        private var state = State.beforeKey
        private var line = 1
        private var keyLine = 1
        private var key: [UInt8] = []
        private var value: [UInt8] = []
        /// The length of `value` without the blanks at its end; `nil` while it ends in something else.
        private var trimmedCount: Int?

        mutating func take(_ byte: UInt8) {
            step(byte)
            if byte == UInt8(ascii: "\n") { line += 1 }
        }

        private mutating func step(_ byte: UInt8) {
            switch state {
            case .beforeKey:
                if byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") {
                    state = .comment
                } else if !Self.isBlank(byte) {
                    state = .key
                    key = [byte]
                    keyLine = line
                    if byte == UInt8(ascii: "=") { beginValue() }
                }
            case .key:
                if Self.isLineEnd(byte) {
                    flaw("this line has no \"=\"; a line is KEY=value, or a comment that starts with #", at: keyLine)
                    state = .beforeKey
                } else if byte == UInt8(ascii: "=") {
                    beginValue()
                } else {
                    key.append(byte)
                }
            case .beforeValue:
                switch byte {
                case UInt8(ascii: "\n"), UInt8(ascii: "\r"): push()
                case UInt8(ascii: "'"): state = .singleQuote
                case UInt8(ascii: "\""): state = .doubleQuote
                case UInt8(ascii: "\\"): state = .valueEscape
                default:
                    if !Self.isBlank(byte) {
                        state = .value
                        value.append(byte)
                    }
                }
            case .value:
                if Self.isLineEnd(byte) {
                    push()
                } else if byte == UInt8(ascii: "\\") {
                    state = .valueEscape
                    trimmedCount = nil
                } else {
                    if !Self.isBlank(byte) {
                        trimmedCount = nil
                    } else if trimmedCount == nil {
                        trimmedCount = value.count
                    }
                    value.append(byte)
                }
            case .valueEscape:
                state = .value
                if !Self.isLineEnd(byte) { value.append(byte) }
            case .singleQuote:
                if byte == UInt8(ascii: "'") { state = .beforeValue } else { value.append(byte) }
            case .doubleQuote:
                if byte == UInt8(ascii: "\"") {
                    state = .beforeValue
                } else if byte == UInt8(ascii: "\\") {
                    state = .doubleQuoteEscape
                } else {
                    value.append(byte)
                }
            case .doubleQuoteEscape:
                state = .doubleQuote
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "`"), UInt8(ascii: "$"): value.append(byte)
                case UInt8(ascii: "\n"): break
                default: value += [UInt8(ascii: "\\"), byte]
                }
            case .comment:
                if byte == UInt8(ascii: "\\") {
                    state = .commentEscape
                } else if Self.isLineEnd(byte) {
                    state = .beforeKey
                }
            case .commentEscape:
                if Self.isLineEnd(byte) {
                    let what =
                        "this comment ends in a backslash, by which systemd before 254 (Debian 12) also takes the "
                        + "next line as a comment"
                    flaws.append(Flaw(line: line, what: what, isWarning: true))
                    state = .beforeKey
                } else {
                    state = .comment
                }
            }
        }

        mutating func end() {
            switch state {
            case .beforeKey, .comment, .commentEscape: break
            case .key: flaw("this line has no \"=\"; a line is KEY=value, or a comment that starts with #", at: keyLine)
            case .beforeValue, .value, .valueEscape: push()
            case .singleQuote: flaw("the value that begins on this line has a ' that is never closed", at: keyLine)
            case .doubleQuote, .doubleQuoteEscape:
                flaw("the value that begins on this line has a \" that is never closed", at: keyLine)
            }
        }

        private mutating func beginValue() {
            state = .beforeValue
            value = []
            trimmedCount = nil
        }

        private mutating func push() {
            state = .beforeKey
            // Blanks after a closing quote were never appended, so only an unquoted tail is trimmed.
            if let trimmedCount { value.removeSubrange(trimmedCount...) }
            while let last = key.last, Self.isBlank(last) { key.removeLast() }
            guard Self.isName(key) else {
                return flaw("the text before \"=\" is not a key; keys are written as in BATCH_SIZE", at: keyLine)
            }
            guard !value.contains(0) else { return flaw("the value holds a NUL byte", at: keyLine) }
            guard let text = String(validating: value, as: UTF8.self) else {
                return flaw("the value is not UTF-8 text", at: keyLine)
            }
            assignments.append(Assignment(name: String(decoding: key, as: UTF8.self), value: text, line: keyLine))
        }

        private mutating func flaw(_ what: String, at line: Int) {
            flaws.append(Flaw(line: line, what: what, isWarning: false))
        }

        private static func isLineEnd(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
        }

        private static func isBlank(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || isLineEnd(byte)
        }

        private static func isName(_ bytes: [UInt8]) -> Bool {
            guard (1...64).contains(bytes.count) else { return false }
            return bytes.enumerated().allSatisfy { index, byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"):
                    true
                case UInt8(ascii: "0")...UInt8(ascii: "9"): index > 0
                default: false
                }
            }
        }
    }
}
