/// A value that must never be shown: a password. Neither describing, dumping, nor reflecting it gives its text; only
/// ``reveal()`` does, and that word is easy to search for. It is not `Codable`, on purpose.
package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let text: String

    package init(_ text: String) {
        self.text = text
    }

    /// The secret itself, for the one place that sends it.
    package func reveal() -> String {
        text
    }

    package var description: String { "(set)" }

    package var debugDescription: String { "(set)" }

    package var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

extension Secret {
    /// No person or password manager makes longer ones: more is the wrong file.
    static let byteCountMax = 1000

    init(checkedPassword text: String) throws(ValueProblem) {
        guard text.utf8.count <= Self.byteCountMax else {
            throw ValueProblem("the password is longer than \(Self.byteCountMax) bytes")
        }
        guard !text.utf8.contains(0) else { throw ValueProblem("the password holds a NUL byte") }
        self.init(text)
    }

    /// The text of a password file or credential: all of it but one line end.
    init(fileContent bytes: [UInt8]) throws(ValueProblem) {
        var content = bytes[...]
        if content.last == UInt8(ascii: "\n") { content.removeLast() }
        if content.last == UInt8(ascii: "\r") { content.removeLast() }
        guard !content.isEmpty else { throw ValueProblem("the file is empty") }
        guard !content.contains(UInt8(ascii: "\n")) else { throw ValueProblem("the file has more than one line") }
        guard let text = String(validating: content, as: UTF8.self) else {
            throw ValueProblem("the file is not UTF-8 text")
        }
        try self.init(checkedPassword: text)
    }
}
