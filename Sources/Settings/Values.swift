/// What is wrong with a value, as a clause; the table says what is allowed.
struct ValueProblem: Error {
    var what: String

    init(_ what: String) {
        self.what = what
    }
}

extension Int {
    /// A number of ASCII decimal digits only: no sign, no blank, no underscore. `nil` for anything else and for what does
    /// not fit.
    init?(decimal text: some StringProtocol) {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text) else {
            return nil
        }
        self = number
    }
}

/// Readers of the kinds of values, each the inverse of the writer beside it.
enum Value {
    static func number(_ text: String, in range: ClosedRange<Int>) throws(ValueProblem) -> Int {
        guard let number = Int(decimal: text) else { throw ValueProblem("\(quoted(text)) is not a whole number") }
        guard range.contains(number) else { throw ValueProblem("\(number) is out of range") }
        return number
    }

    /// Bytes, with K, M or G for 1024, 1024² or 1024³, as systemd writes them.
    static func byteCount(_ text: String, in range: ClosedRange<Int>) throws(ValueProblem) -> Int {
        let scales: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
        let scale = text.last.flatMap { scales[Character($0.uppercased())] }
        guard let number = Int(decimal: scale == nil ? text[...] : text.dropLast()) else {
            throw ValueProblem("\(quoted(text)) is not a number of bytes")
        }
        let (count, overflow) = number.multipliedReportingOverflow(by: scale ?? 1)
        guard !overflow, range.contains(count) else { throw ValueProblem("\(quoted(text)) is out of range") }
        return count
    }

    /// The shortest spelling that ``byteCount(_:in:)`` reads back.
    static func text(byteCount: Int) -> String {
        for (letter, scale) in [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)]
        where byteCount >= scale && byteCount % scale == 0 {
            return "\(byteCount / scale)\(letter)"
        }
        return String(byteCount)
    }

    /// Whole seconds: a number alone, or with `s`, `m` or `h`.
    static func seconds(_ text: String, in range: ClosedRange<Int>) throws(ValueProblem) -> Int {
        let scales: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
        let scale = text.last.flatMap { scales[$0] }
        guard let number = Int(decimal: scale == nil ? text[...] : text.dropLast()) else {
            throw ValueProblem("\(quoted(text)) is not a number of seconds")
        }
        let (count, overflow) = number.multipliedReportingOverflow(by: scale ?? 1)
        guard !overflow, range.contains(count) else { throw ValueProblem("\(quoted(text)) is out of range") }
        return count
    }

    /// One of the words of an enum, in any case.
    static func word<Choice: RawRepresentable & CaseIterable>(
        _ text: String,
        of choices: Choice.Type
    ) throws(ValueProblem) -> Choice where Choice.RawValue == String {
        guard let choice = Choice.allCases.first(where: { $0.rawValue == text.lowercased() }) else {
            throw ValueProblem("\(quoted(text)) is none of the words")
        }
        return choice
    }

    static func flag(_ text: String) throws(ValueProblem) -> Bool {
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default: throw ValueProblem("\(quoted(text)) is neither true nor false")
        }
    }

    static func absolutePath(_ text: String) throws(ValueProblem) -> String {
        guard text.hasPrefix("/") else { throw ValueProblem("\(quoted(text)) is not an absolute path") }
        // PATH_MAX of linux/limits.h, with room for the names we add.
        guard text.utf8.count <= 4000 else { throw ValueProblem("the path is longer than 4000 bytes") }
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw ValueProblem("\(quoted(text)) holds control characters")
        }
        return text
    }

    /// A PostgreSQL name: 1 to 63 bytes (NAMEDATALEN less one), no control characters.
    static func databaseName(_ text: String) throws(ValueProblem) -> String {
        guard (1...63).contains(text.utf8.count), text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw ValueProblem("\(quoted(text)) is not a PostgreSQL name")
        }
        return text
    }
}
