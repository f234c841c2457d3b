/// One pass over a logfmt text (`level=info msg="x y" dur=3ms`) that writes its template.
///
/// The form has no standard; this follows what Go's and Heroku's loggers print: words separated by blanks, `key=value` with
/// the value bare or in double quotes with backslash escapes. A value has no type of its own, so the masker is asked: what
/// it makes one placeholder of keeps that placeholder, any other value is `<STRING>`.
struct StructuredMessagePairs {
    static var keyByteCountMax: Int { 40 }
    private static var choiceByteCountMax: Int { 48 }
    /// Words that are no pair, for each three pairs: a tag at the head or a word lost in between. With more, it is a
    /// sentence with some values in it. Words are counted and not bytes, because masking keeps their number.
    private static var pairsPerWord: Int { 3 }

    private enum Step { case done, ended, ordinary }

    private let bytes: UnsafePointer<UInt8>
    private let end: Int
    private let isCut: Bool
    private let keys: StructuredMessageKeys
    private var writer: StructuredMessageWriter
    private var position = 0
    private var pairs = 0
    private var words = 0

    init(
        bytes: UnsafePointer<UInt8>,
        end: Int,
        isCut: Bool,
        writer: StructuredMessageWriter,
        keys: StructuredMessageKeys
    ) {
        self.bytes = bytes
        self.end = end
        self.isCut = isCut
        self.writer = writer
        self.keys = keys
    }

    static func beginsKey(_ byte: UInt8) -> Bool {
        byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
    }

    static func continuesKey(_ byte: UInt8) -> Bool {
        beginsKey(byte) || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")) || byte == UInt8(ascii: "_")
            || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
    }

    /// Returns the length of the template, or `nil` when the text is no logfmt.
    mutating func run(_ normalizer: inout Normalizer) -> Int? {
        var isEnded = isCut
        while true {
            skipBlanks()
            guard position < end else { break }
            let mark = writer.count
            if writer.isMore(bytes, at: position, end: end) {
                isEnded = true
                break
            }
            if mark > 0 { writer.put(UInt8(ascii: " ")) }
            let before = (pairs, words)
            let step = token(&normalizer)
            if case .ordinary = step { return nil }
            // One byte less than the room: a blank stands before the closing `<MORE>`.
            if step == .ended || writer.count >= StructuredMessageWriter.room {
                writer.count = mark
                (pairs, words) = before
                isEnded = true
                break
            }
        }
        guard pairs >= 2, words * Self.pairsPerWord <= pairs else { return nil }
        if isEnded {
            writer.put(UInt8(ascii: " "))
            writer.put(placeholder: "MORE")
        }
        return writer.count
    }

    private mutating func token(_ normalizer: inout Normalizer) -> Step {
        let start = position
        var index = start
        if Self.beginsKey(bytes[start]) {
            let limit = min(end, start + Self.keyByteCountMax)
            while index < limit, Self.continuesKey(bytes[index]) { index += 1 }
            if index < end, bytes[index] == UInt8(ascii: "=") {
                pairs += 1
                position = index + 1
                writer.put(bytes, from: start, to: position)
                return value(of: keys.kind(bytes, start, index), &normalizer)
            }
        }
        words += 1
        // The first two words of a sentence are enough to know it for one.
        if words > 2 + pairs { return .ordinary }
        return word(&normalizer)
    }

    /// A word that is no pair: masked by itself. What masking would tear into two, or turn into a pair, is no logfmt.
    private mutating func word(_ normalizer: inout Normalizer) -> Step {
        let start = position
        position = wordEnd(from: start)
        let masked = normalizer.normalize(UnsafeBufferPointer(start: bytes + start, count: position - start))
        for byte in masked where byte <= 0x20 || byte == UInt8(ascii: "=") { return .ordinary }
        writer.put(masked)
        return .done
    }

    // MARK: Values

    private mutating func value(of kind: StructuredMessageKeys.Kind, _ normalizer: inout Normalizer) -> Step {
        guard position < end, !isBlank(bytes[position]) else { return .done }
        if bytes[position] == UInt8(ascii: "\"") {
            let start = position + 1
            var index = start
            while index < end, bytes[index] != UInt8(ascii: "\"") {
                index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
            }
            // A quote that never closes: the sender cut the text, or it is none of ours; the pair is left out.
            guard index < end else { return .ended }
            position = index + 1
            put(start, index, kind, isQuoted: true, &normalizer)
            return separator()
        }
        let start = position
        position = wordEnd(from: start)
        var valueEnd = position
        while valueEnd > start, isSeparator(bytes[valueEnd - 1]) { valueEnd -= 1 }
        put(start, valueEnd, kind, isQuoted: false, &normalizer)
        writer.put(bytes, from: valueEnd, to: position)
        return .done
    }

    /// What may follow a closing quote: nothing, or the commas of those who separate pairs with them.
    private mutating func separator() -> Step {
        while position < end, isSeparator(bytes[position]) {
            writer.put(bytes[position])
            position += 1
        }
        return position == end || isBlank(bytes[position]) ? .done : .ordinary
    }

    private mutating func put(
        _ start: Int,
        _ valueEnd: Int,
        _ kind: StructuredMessageKeys.Kind,
        isQuoted: Bool,
        _ normalizer: inout Normalizer
    ) {
        let count = valueEnd - start
        if count == 0, !isQuoted { return }
        if kind == .level, count <= 3, hasOnlyDigits(start, valueEnd) {
            writer.put(bytes, from: start, to: valueEnd)
            return
        }
        if kind == .other {
            if has("true", start, valueEnd) || has("false", start, valueEnd) {
                writer.put(placeholder: "BOOL")
                return
            }
            if has("null", start, valueEnd) || has("nil", start, valueEnd) {
                writer.put(bytes, from: start, to: valueEnd)
                return
            }
        }
        let masked = normalizer.normalize(UnsafeBufferPointer(start: bytes + start, count: count))
        switch kind {
        case .text:
            if isQuoted {
                if writer.putQuoted(masked) { return }
            } else if isOneWord(masked) {
                writer.put(masked)
                return
            }
        case .choice, .level:
            if masked.count <= Self.choiceByteCountMax, isOneWord(masked) {
                writer.put(masked)
                return
            }
        case .other:
            let length = masked.baseAddress.map {
                writer.placeholderByteCount($0, at: 0, end: masked.count)
            }
            if let length, length > 0, isUnit(masked, from: length) {
                writer.put(masked)
                return
            }
        }
        writer.put(placeholder: "STRING")
    }

    /// Whether a masked value can stand without quotes and read the same again.
    private func isOneWord(_ masked: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let last = masked.last, !isSeparator(last) else { return false }
        for byte in masked where byte <= 0x20 || byte == UInt8(ascii: "\"") { return false }
        return true
    }

    /// Whether what follows a placeholder is nothing or a unit: `<TIME>ms`, `<NUM>%`.
    private func isUnit(_ masked: UnsafeBufferPointer<UInt8>, from start: Int) -> Bool {
        guard masked.count - start <= 4 else { return false }
        for index in start..<masked.count where !Self.beginsKey(masked[index]) && masked[index] != UInt8(ascii: "%") {
            return false
        }
        return true
    }

    // MARK: Bytes

    private mutating func skipBlanks() {
        while position < end, isBlank(bytes[position]) { position += 1 }
    }

    private func wordEnd(from start: Int) -> Int {
        var index = start
        while index < end, !isBlank(bytes[index]) { index += 1 }
        return index
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }

    private func isSeparator(_ byte: UInt8) -> Bool { byte == UInt8(ascii: ",") || byte == UInt8(ascii: ";") }

    private func hasOnlyDigits(_ start: Int, _ valueEnd: Int) -> Bool {
        for index in start..<valueEnd where bytes[index] < UInt8(ascii: "0") || bytes[index] > UInt8(ascii: "9") {
            return false
        }
        return valueEnd > start
    }

    private func has(_ text: StaticString, _ start: Int, _ valueEnd: Int) -> Bool {
        guard valueEnd - start == text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where bytes[start + index] != text.utf8Start[index] { return false }
        return true
    }
}
