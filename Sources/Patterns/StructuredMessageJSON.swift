/// One pass over a JSON text that writes its template.
///
/// Reads JSON as it is found in logs: strict about structure, so that ordinary text in brackets is not taken for it;
/// lenient about what does not matter here (escapes are not checked, `NaN` is a number). Reads its own output as well:
/// a placeholder may stand where a value may, and `<MORE>` where the text may end.
///
/// When the text ends early, or the template is full, the member that is incomplete is taken back and `<MORE>` stands
/// for the rest: cutting at a member, the template reads the same again.
struct StructuredMessageJSON {
    /// How reading a value ended.
    private enum Step {
        case done
        /// The text ended inside a scalar: the member it belongs to must be taken back.
        case cut
        /// The text ended, or the template is full; what was written so far is good.
        case ended
        /// No JSON.
        case malformed
    }

    /// A longer word is no member of an enumeration.
    private static var choiceByteCountMax: Int { 48 }
    /// A longer key is data.
    private static var keyByteCountMax: Int { 64 }

    let bytes: UnsafePointer<UInt8>
    let end: Int
    let keys: StructuredMessageKeys
    var writer: StructuredMessageWriter
    private var position: Int
    private var hasMember = false

    init(
        bytes: UnsafePointer<UInt8>,
        start: Int,
        end: Int,
        writer: StructuredMessageWriter,
        keys: StructuredMessageKeys
    ) {
        self.bytes = bytes
        self.end = end
        self.writer = writer
        self.keys = keys
        position = start
    }

    /// Reads the value at the start, which must be all that is left of the text. Returns the length of the template, or
    /// `nil` when it is no JSON.
    mutating func run(mayBeCut: Bool, _ normalizer: inout Normalizer) -> Int? {
        let step = byte == UInt8(ascii: "[") ? topArray(&normalizer) : object(depth: 1, &normalizer)
        switch step {
        case .done:
            skipBlanks()
            return position == end && !writer.isPastRoom ? writer.count : nil
        case .ended:
            guard mayBeCut, hasMember || writer.isMore(bytes, at: position, end: end), !writer.isPastRoom else {
                return nil
            }
            writer.put(placeholder: "MORE")
            return writer.count
        case .cut, .malformed: return nil
        }
    }

    // MARK: Containers

    private mutating func object(depth: Int, _ normalizer: inout Normalizer) -> Step {
        guard depth <= StructuredMessage.depthMax else {
            guard skipContainer() else { return .cut }
            writer.put(UInt8(ascii: "{"))
            writer.put(placeholder: "...")
            writer.put(UInt8(ascii: "}"))
            return .done
        }
        writer.put(UInt8(ascii: "{"))
        position += 1
        skipBlanks()
        if byte == UInt8(ascii: "}") {
            position += 1
            writer.put(UInt8(ascii: "}"))
            return .done
        }
        var isFirst = true
        var followsGeneratedKey = false
        while true {
            let mark = writer.count
            if isAtEnd { return .ended }
            let step = member(isFirst: isFirst, &followsGeneratedKey, depth: depth, &normalizer)
            switch step {
            case .done: break
            case .cut:
                writer.count = mark
                return .ended
            case .ended:
                if writer.isPastRoom { writer.count = mark }
                return .ended
            case .malformed: return .malformed
            }
            if writer.isPastRoom {
                writer.count = mark
                return .ended
            }
            isFirst = false
            skipBlanks()
            if isAtEnd { return .ended }
            let separator = byte
            position += 1
            if separator == UInt8(ascii: "}") {
                writer.put(UInt8(ascii: "}"))
                return .done
            }
            guard separator == UInt8(ascii: ",") else { return .malformed }
            skipBlanks()
        }
    }

    /// One key and its value. Neighbouring members with generated keys count as one: an object keyed by ids is a list, and
    /// its length is no part of the statement.
    private mutating func member(
        isFirst: Bool,
        _ followsGeneratedKey: inout Bool,
        depth: Int,
        _ normalizer: inout Normalizer
    ) -> Step {
        let mark = writer.count
        guard byte == UInt8(ascii: "\"") else { return .malformed }
        let keyStart = position + 1
        guard let keyEnd = stringEnd(from: keyStart) else { return .cut }
        position = keyEnd + 1
        skipBlanks()
        guard position < end else { return .cut }
        guard byte == UInt8(ascii: ":") else { return .malformed }
        position += 1
        hasMember = true
        let isGenerated = isGenerated(keyStart, keyEnd, &normalizer)
        let isRepeated = isGenerated && followsGeneratedKey
        followsGeneratedKey = isGenerated
        if !isFirst { writer.put(UInt8(ascii: ",")) }
        writer.put(UInt8(ascii: "\""))
        if isGenerated {
            writer.put(placeholder: "ID")
        } else {
            writer.put(bytes, from: keyStart, to: keyEnd)
        }
        writer.put("\":")
        skipBlanks()
        let kind = isGenerated ? .other : keys.kind(bytes, keyStart, keyEnd)
        let step = value(of: kind, depth: depth, &normalizer)
        if isRepeated { writer.count = mark }
        return step
    }

    /// A message that is an array: the shape of its first object stands for all, whatever their number.
    private mutating func topArray(_ normalizer: inout Normalizer) -> Step {
        position += 1
        skipBlanks()
        guard position < end else { return .malformed }
        if byte == UInt8(ascii: "{"), placeholderByteCount == 0 {
            writer.put(UInt8(ascii: "["))
            let step = object(depth: 1, &normalizer)
            guard case .done = step else { return step }
            writer.put(UInt8(ascii: ","))
            writer.put(placeholder: "...")
            skipBlanks()
            if isAtEnd { return .ended }
            // Back on a byte inside the array: the rest is skipped to its bracket.
            guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") else { return .malformed }
            guard skip(toDepth: 1) else { return .ended }
            writer.put(UInt8(ascii: "]"))
            return .done
        }
        // Of scalars: read with care, because `[12:00:00]` and `[main]` are no arrays.
        var elements = 0
        var isNumbered = false
        while byte != UInt8(ascii: "]") {
            let mark = writer.count
            isNumbered = isNumber(byte)
            let step = byte == UInt8(ascii: "[") ? nestedArray() : value(of: .other, depth: 1, &normalizer)
            guard case .done = step else { return .malformed }
            writer.count = mark
            elements += 1
            skipBlanks()
            guard position < end else { return .malformed }
            if byte == UInt8(ascii: ",") {
                position += 1
                skipBlanks()
            } else if byte != UInt8(ascii: "]") {
                return .malformed
            }
        }
        // `[4711]` is a process or a count far more often than a list of one.
        if elements == 1, isNumbered { return .malformed }
        position += 1
        writer.put(UInt8(ascii: "["))
        writer.put(placeholder: "...")
        writer.put(UInt8(ascii: "]"))
        return .done
    }

    private mutating func nestedArray() -> Step {
        guard skipContainer() else { return .cut }
        writer.put(UInt8(ascii: "["))
        writer.put(placeholder: "...")
        writer.put(UInt8(ascii: "]"))
        return .done
    }

    // MARK: Values

    private mutating func value(
        of kind: StructuredMessageKeys.Kind,
        depth: Int,
        _ normalizer: inout Normalizer
    ) -> Step {
        guard position < end else { return .cut }
        let length = placeholderByteCount
        if length > 0 {
            // `<MORE>` where a value should be is text of somebody else's.
            writer.put(bytes, from: position, to: position + length)
            position += length
            return .done
        }
        switch byte {
        case UInt8(ascii: "\""): return string(of: kind, &normalizer)
        case UInt8(ascii: "{"): return object(depth: depth + 1, &normalizer)
        case UInt8(ascii: "["): return nestedArray()
        case UInt8(ascii: "t"): return word("true", "BOOL")
        case UInt8(ascii: "f"): return word("false", "BOOL")
        case UInt8(ascii: "n"): return word("null", nil)
        // What Python writes for numbers that JSON has no form for.
        case UInt8(ascii: "N"): return word("NaN", "NUM")
        case UInt8(ascii: "I"): return word("Infinity", "NUM")
        default: return number(of: kind)
        }
    }

    private mutating func word(_ text: StaticString, _ placeholder: StaticString?) -> Step {
        let count = text.utf8CodeUnitCount
        for index in 0..<count {
            guard position + index < end else { return .cut }
            guard bytes[position + index] == text.utf8Start[index] else { return .malformed }
        }
        position += count
        if let placeholder { writer.put(placeholder: placeholder) } else { writer.put(text) }
        return .done
    }

    private mutating func number(of kind: StructuredMessageKeys.Kind) -> Step {
        let start = position
        guard isNumber(byte) else { return .malformed }
        position += 1
        if byte == UInt8(ascii: "I") { return word("Infinity", "NUM") }
        var digits = isDigit(bytes[start]) ? 1 : 0
        while position < end, isNumber(byte) || byte | 0x20 == UInt8(ascii: "e") {
            if isDigit(byte) { digits += 1 }
            position += 1
        }
        // More digits may have followed where the text was cut.
        guard position < end else { return .cut }
        guard digits > 0 else { return .malformed }
        if kind == .level, position - start <= 3, digits == position - start {
            writer.put(bytes, from: start, to: position)
        } else {
            writer.put(placeholder: "NUM")
        }
        return .done
    }

    private mutating func string(of kind: StructuredMessageKeys.Kind, _ normalizer: inout Normalizer) -> Step {
        let start = position + 1
        guard let close = stringEnd(from: start) else { return .cut }
        position = close + 1
        let mark = writer.count
        switch kind {
        case .other: break
        case .text: if putText(start, close, &normalizer) { return .done }
        case .choice, .level:
            // As long as it is masked: that is what is read when a template comes back.
            if putText(start, close, &normalizer), writer.count - mark <= Self.choiceByteCountMax,
                !writer.hasBlank(from: mark)
            {
                return .done
            }
        }
        writer.count = mark
        writer.put(placeholder: "STRING")
        return .done
    }

    private mutating func putText(_ start: Int, _ close: Int, _ normalizer: inout Normalizer) -> Bool {
        writer.putQuoted(normalizer.normalize(UnsafeBufferPointer(start: bytes + start, count: close - start)))
    }

    /// Whether a key was made by a machine: the id of a device, a number, a path. Few digits after letters are a name that
    /// people chose (`co2`, `pm2_5`, `p95`); for the rest, a key that the masker would change is a value.
    private func isGenerated(_ start: Int, _ keyEnd: Int, _ normalizer: inout Normalizer) -> Bool {
        guard keyEnd - start <= Self.keyByteCountMax else { return true }
        var digits = 0
        var changes = 0
        var isPlain = true
        for index in start..<keyEnd {
            let byte = bytes[index]
            if isDigit(byte) {
                digits += 1
                if index == start {
                    isPlain = false
                } else if isLetter(bytes[index - 1]) {
                    changes += 1
                }
            } else if !isLetter(byte), byte != UInt8(ascii: "_"), byte != UInt8(ascii: "-"), byte != UInt8(ascii: "."),
                byte != UInt8(ascii: " ")
            {
                if byte == UInt8(ascii: "\\") { return true }
                isPlain = false
            }
        }
        if isPlain, digits == 0 || (digits <= 2 && changes <= 1) { return false }
        let masked = normalizer.normalize(UnsafeBufferPointer(start: bytes + start, count: keyEnd - start))
        guard masked.count == keyEnd - start else { return true }
        for index in 0..<masked.count where masked[index] != bytes[start + index] { return true }
        return false
    }

    // MARK: Bytes

    /// A NUL past the end, which is nothing in JSON.
    private var byte: UInt8 { position < end ? bytes[position] : 0 }

    private var isAtEnd: Bool { position >= end || writer.isMore(bytes, at: position, end: end) }

    private var placeholderByteCount: Int { writer.placeholderByteCount(bytes, at: position, end: end) }

    private mutating func skipBlanks() {
        while position < end {
            let byte = bytes[position]
            guard byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) else { return }
            position += 1
        }
    }

    /// The position of the quote that ends the string whose content begins at `start`.
    private func stringEnd(from start: Int) -> Int? {
        var index = start
        while index < end {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") { return index }
            index += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }

    /// Skips the object or array that begins here.
    private mutating func skipContainer() -> Bool {
        position += 1
        return skip(toDepth: 1)
    }

    /// Skips to after the bracket that closes `depth` open ones; false when the text ends before.
    private mutating func skip(toDepth depth: Int) -> Bool {
        var depth = depth
        while position < end {
            switch bytes[position] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 {
                    position += 1
                    return true
                }
            case UInt8(ascii: "\""):
                guard let close = stringEnd(from: position + 1) else {
                    position = end
                    return false
                }
                position = close
            default: break
            }
            position += 1
        }
        return false
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private func isLetter(_ byte: UInt8) -> Bool {
        byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
    }

    /// A byte of a number other than its exponent's letter.
    private func isNumber(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
    }
}
