/// Turns a message into its template: variable parts become placeholders, all other bytes stay as they are.
///
/// One pass over the bytes, no allocation and no knowledge of earlier messages: the template depends on the message and
/// the style alone, so it is the same in every process and on every architecture.
///
/// Guarantees, for any bytes at all: normalising a template gives the same template; a template has at most
/// `templateByteCountMax` bytes; a template of valid UTF-8 is valid UTF-8, invalid bytes are kept as they are (repair
/// is the display's affair). Blanks stay too, except that those which pad a number to a column count as one.
/// Not guaranteed: that two different statements of a program have different templates.
///
/// Owns about 48 KiB. Not safe to share between threads: one for each.
public struct Normalizer: ~Copyable {
    /// Bytes of a message that are looked at; what follows is `<MORE>`. Nobody reads further in a list of patterns, and
    /// the bound holds the cost of the longest message to that of sixty ordinary ones.
    public static var messageByteCountMax: Int { 8 * 1024 }
    /// Bytes of a template, the closing `<MORE>` included.
    public static var templateByteCountMax: Int { 1024 }
    /// Words between blanks in a template; the rest is `<MORE>`.
    public static var tokenCountMax: Int { 128 }

    private let classes: UnsafeMutablePointer<ByteClass>
    private let texts: PlaceholderTexts
    private let vocabulary: Vocabulary
    private let template: UnsafeMutablePointer<UInt8>
    /// The message with blanks after it, so that the scan may read in blocks and needs not ask for the end at each byte.
    private let padded: UnsafeMutablePointer<UInt8>
    /// What the last template depended on besides the shape of its message; valid until the next call.
    let conditions = DigitConditions()

    public init(style: PlaceholderStyle = .angle) {
        classes = ByteClass.makeTable()
        texts = PlaceholderTexts(style: style)
        vocabulary = Vocabulary()
        // A chunk is copied before it is known whether it fits, hence room for the longest one beyond the bound.
        template = .allocate(
            capacity: Self.templateByteCountMax + Self.messageByteCountMax + 2 * MessageBlock.byteCount
        )
        padded = .allocate(capacity: Self.messageByteCountMax + MessageReader.paddingByteCount)
    }

    deinit {
        classes.deallocate()
        texts.deallocate()
        vocabulary.deallocate()
        template.deallocate()
        padded.deallocate()
        conditions.deallocate()
    }

    /// Writes the template of `message` into memory owned by self and returns a view of it, valid until the next call.
    public mutating func normalize(_ message: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        conditions.begin()
        guard let bytes = message.baseAddress, message.count > 0 else {
            return UnsafeBufferPointer(start: template, count: 0)
        }
        let end = Self.visibleByteCount(bytes, message.count)
        padded.update(from: bytes, count: end)
        for offset in stride(from: 0, to: MessageReader.paddingByteCount, by: MessageBlock.byteCount) {
            MessageBlock.blank.store(at: padded + end + offset)
        }
        var pass = MaskingPass(
            reader: MessageReader(
                bytes: padded,
                end: end,
                classes: classes,
                vocabulary: vocabulary,
                conditions: conditions
            ),
            texts: texts,
            out: template
        )
        let count = pass.run(isCut: end < message.count)
        return UnsafeBufferPointer(start: template, count: count)
    }

    /// How much of the message is looked at: all of it, or what fits without cutting a scalar.
    private static func visibleByteCount(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
        guard count > messageByteCountMax else { return count }
        var end = messageByteCountMax
        // At most three continuation bytes follow a lead byte (RFC 3629); more are no UTF-8, and any cut will do.
        while end > messageByteCountMax - 4, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return end
    }
}

/// The state of one pass: how far the template is written, and what it ended with.
struct MaskingPass {
    let reader: MessageReader
    let texts: PlaceholderTexts
    let out: UnsafeMutablePointer<UInt8>
    private var count = 0
    /// What is left of the template when what comes next does not fit.
    private var mark = 0
    private var position = 0
    /// The template so far ends with a placeholder.
    private var isGlued = false
    private var tokens = 1

    init(reader: MessageReader, texts: PlaceholderTexts, out: UnsafeMutablePointer<UInt8>) {
        self.reader = reader
        self.texts = texts
        self.out = out
    }

    /// Runs over the whole message; `isCut` says that there is more of it. Returns the length of the template.
    mutating func run(isCut: Bool) -> Int {
        let room = Normalizer.templateByteCountMax - texts.byteCount(.more)
        var isFull = false
        keepSyslogPriority()
        while !isFull {
            let next = copyText(room: room)
            guard position < reader.end else { break }
            mark = count
            if next.touches(.letter) {
                copyWord()
            } else if next == .digit {
                maskNumber()
            } else if next == .opener || next == .delimiter {
                copyDelimiter()
            } else if next == .blank {
                isFull = !copyBlanks()
            } else {
                copyChunk(from: 0, flags: [])
            }
            if count > room {
                count = mark
                isFull = true
            }
        }
        if isFull || isCut { write(.more) }
        return count
    }

    /// The priority before a kernel or syslog message (`<6>`, RFC 5424 section 6.2.1) says how bad, not which one.
    private mutating func keepSyslogPriority() {
        guard reader.byte(0) == UInt8(ascii: "<") else { return }
        let digits = reader.digitCount(at: 1, max: 4)
        guard (1...3).contains(digits), reader.byte(digits + 1) == UInt8(ascii: ">") else { return }
        reader.needDigits(from: 1, to: digits + 1)
        copy(to: digits + 2)
    }

    /// Copies a run of blanks; false when it ends the last word there is room for.
    private mutating func copyBlanks() -> Bool {
        guard tokens < Normalizer.tokenCountMax else { return false }
        tokens += 1
        // One blank, nearly always.
        out[count] = reader.bytes[position]
        count += 1
        position += 1
        isGlued = false
        if reader.byteClass(position) == .blank, position < reader.end {
            copy(to: reader.endOfBlanks(from: position))
        }
        return true
    }

    private mutating func copyDelimiter() {
        let byte = reader.bytes[position]
        if byte == UInt8(ascii: "<") {
            let redaction = texts.redactionByteCount(at: reader.bytes + position, count: reader.end - position)
            if redaction > 0 {
                position += redaction
                write(.redacted)
                return
            }
        }
        switch byte {
        case texts.opening:
            if let placeholder = texts.placeholder(at: reader.bytes + position, count: reader.end - position) {
                position += texts.byteCount(placeholder)
                write(placeholder)
                return
            }
        case UInt8(ascii: "["):
            let end = reader.kernelTimeEnd(at: position)
            if end > 0 {
                copy(to: position + 1)
                position = end
                write(.time)
                return
            }
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            // What stands before is read in the template, because that is what is read when a template comes back.
            let written = MessageReader(
                bytes: out,
                end: count,
                classes: reader.classes,
                vocabulary: reader.vocabulary,
                conditions: reader.conditions
            )
            let close = reader.replaceableQuoteEnd(at: position, after: written, opening: texts.opening)
            if close > 0 {
                copy(to: position + 1)
                write(.string)
                position = close
                copy(to: close + 1)
                return
            }
        default: break
        }
        out[count] = byte
        count &+= 1
        position &+= 1
        isGlued = false
    }

    /// Copies what is text and nothing else: words of letters and `_`, a blank between two words, marks. Stops before
    /// anything that has to be decided, and returns the class of its first byte.
    ///
    /// Most bytes of a message go this way, so the state is kept in variables of its own: a store through `out` could
    /// change the fields as far as the compiler knows.
    @inline(__always)
    private mutating func copyText(room: Int) -> ByteClass {
        let bytes = reader.bytes
        let classes = reader.classes
        let out = self.out
        let end = reader.end
        var position = self.position
        var count = self.count
        var tokens = self.tokens
        var kind = classes[Int(bytes[position])]
        // A step adds a block and a mark at most; the last words before the bound are the caller's.
        let last = room &- MessageBlock.byteCount &- 1
        while count < last {
            if kind.touches(.letter) {
                let source = bytes + position
                let block = MessageBlock(at: source)
                block.store(at: out + count)
                let length = block.letterCount
                guard length < MessageBlock.byteCount else { break }
                let next = source[length]
                let nextKind = classes[Int(next)]
                // What may be a hexadecimal number or the beginning of a date.
                if length >= 8, kind == .hexLetter { break }
                if nextKind == .blank {
                    guard next == UInt8(ascii: " "), position &+ length < end, tokens < Normalizer.tokenCountMax,
                        !mayBeginDate(source, length)
                    else { break }
                    let afterBlank = classes[Int(source[length &+ 1])]
                    guard afterBlank != .blank else { break }
                    (out + count)[length] = UInt8(ascii: " ")
                    count &+= length &+ 1
                    position &+= length &+ 1
                    tokens &+= 1
                    kind = afterBlank
                } else if nextKind == .delimiter || nextKind == .opener {
                    if next == UInt8(ascii: ","), mayBeginDate(source, length) { break }
                    count &+= length
                    position &+= length
                    kind = nextKind
                } else if nextKind == .colon, classes[Int(source[length &+ 1])].touches(.stop) {
                    count &+= length &+ 1
                    position &+= length &+ 1
                    kind = classes[Int(source[length &+ 1])]
                } else {
                    break
                }
            } else if kind == .delimiter {
                out[count] = bytes[position]
                count &+= 1
                position &+= 1
                kind = classes[Int(bytes[position])]
            } else if kind == .blank, position < end, tokens < Normalizer.tokenCountMax {
                let afterBlank = classes[Int(bytes[position &+ 1])]
                guard afterBlank != .blank else { break }
                out[count] = bytes[position]
                count &+= 1
                position &+= 1
                tokens &+= 1
                kind = afterBlank
            } else {
                break
            }
        }
        if position > self.position { isGlued = false }
        self.position = position
        self.count = count
        self.tokens = tokens
        return kind
    }

    /// Whether a date may begin with the word; see ``namedDateEnd(at:wordEnd:)``.
    @inline(__always)
    private func mayBeginDate(_ word: UnsafePointer<UInt8>, _ length: Int) -> Bool {
        // A capital, then at least two more letters.
        guard word[0] & 0x20 == 0, length >= 3, length <= 9 else { return false }
        return length == 3 || word[length &- 1] == UInt8(ascii: "y") || word[length &+ 1] &- 0x30 < 10
            || word[length &+ 2] &- 0x30 < 10
    }

    /// A chunk that begins with a letter, and is not one of the words that ``copyText(room:)`` takes.
    private mutating func copyWord() {
        let source = reader.bytes + position
        let target = out + count
        let block = MessageBlock(at: source)
        block.store(at: target)
        var length = block.letterCount
        while length & (MessageBlock.byteCount - 1) == 0 {
            let block = MessageBlock(at: source + length)
            block.store(at: target + length)
            let more = block.letterCount
            length &+= more  // below the end of the message
            if more == 0 { break }
        }
        var isHex = false
        if length >= 8 || !reader.classes[Int(source[length])].touches(.stop) {
            var index = 0
            while index < length, reader.classes[Int(source[index])] == .hexLetter { index &+= 1 }
            isHex = index == length
        }
        if source[length] == UInt8(ascii: ":"), reader.classes[Int(source[length &+ 1])].touches(.stop) {
            length &+= 1
            isHex = false
        }
        guard !isHex, reader.classes[Int(source[length])].touches(.stop) else {
            return copyChunk(from: length, flags: isHex ? .hexLetter : .plainLetter)
        }
        let dateEnd = namedDateEnd(at: position, wordEnd: position &+ length)
        if dateEnd > 0 {
            position = dateEnd
            write(.time)
            return
        }
        count &+= length
        position &+= length
        isGlued = false
    }

    /// A chunk that begins with a digit. An integer that stands alone needs no look at the classes of its bytes.
    @inline(__always)
    private mutating func maskNumber() {
        let digitsEnd = reader.endOfRun(of: .digit, from: position)
        guard reader.byteClass(digitsEnd).touches(.stop), !reader.isDayBeforeMonth(at: position, digitsEnd: digitsEnd)
        else {
            return copyChunk(from: digitsEnd - position, flags: .digit)
        }
        let part = reader.integer(from: position, to: digitsEnd)
        dropPadding()
        position = part.end
        write(part.placeholder ?? .num)
    }

    /// A chunk of which `offset` bytes were looked at; `flags` are their classes.
    private mutating func copyChunk(from offset: Int, flags known: ByteClass) {
        let start = position
        var flags = known
        var offset = offset
        do {
            // Copies of the fields: a store through `target` could change the fields as far as the compiler knows, and
            // each would be loaded again for every byte.
            let source = reader.bytes + start
            let classes = reader.classes
            // The blank after the message ends the last chunk.
            while true {
                let kind = classes[Int(source[offset])]
                if kind.touches(.stop) { break }
                flags.formUnion(kind)
                offset &+= 1
            }
            let target = out + count
            var copied = 0
            while copied < offset {
                MessageBlock(at: source + copied).store(at: target + copied)
                copied &+= MessageBlock.byteCount
            }
        }
        let index = start + offset
        if !flags.touches(.suspicious), flags != .hexLetter || index - start < 8 {
            let dateEnd = namedDateEnd(at: start, wordEnd: index)
            if dateEnd > 0 {
                position = dateEnd
                write(.time)
            } else {
                count += index - start
                position = index
                isGlued = false
            }
            return
        }
        maskChunk(MessageChunk(start: start, end: index, flags: flags))
    }

    /// Whether a date begins with the word `start..<wordEnd`. Nearly every word is turned away by its neighbours, before
    /// the word lists are asked: a month is followed by a day, a weekday by a day or a month.
    @inline(__always)
    private func namedDateEnd(at start: Int, wordEnd: Int) -> Int {
        let length = wordEnd - start
        guard length >= 3, length <= 9, reader.bytes[start] & 0x20 == 0 else { return 0 }
        let next = reader.byte(wordEnd)
        guard next == UInt8(ascii: " ") || next == UInt8(ascii: ",") else { return 0 }
        guard
            reader.isDigit(wordEnd + 1) || reader.isDigit(wordEnd + 2) || length == 3
                || reader.bytes[wordEnd - 1] == UInt8(ascii: "y")
        else { return 0 }
        return reader.namedDateEnd(at: start, wordEnd: wordEnd)
    }

    /// Walks over the parts of a chunk whose bytes are already copied, up to its end or the first value in it. What
    /// follows the value is a chunk of its own: that is how a template is read as well.
    private mutating func maskChunk(_ chunk: MessageChunk) {
        if isGlued {
            let unitEnd = reader.unitEnd(afterPlaceholder: position)
            if unitEnd > 0 { skip(to: unitEnd) }
        }
        while position < chunk.end {
            let part = reader.part(at: position, in: chunk, isGlued: isGlued && position == chunk.start)
            if let placeholder = part.placeholder {
                if reader.isDigit(position) { dropPadding() }
                position = part.end
                write(placeholder)
                return
            }
            // Digits that stay tell two templates apart.
            if chunk.flags.touches(.digit) { reader.needDigits(from: position, to: part.end) }
            if part.end > chunk.end {
                skip(to: chunk.end)
                copy(to: part.end)
            } else {
                skip(to: part.end)
            }
        }
    }

    /// Leaves one blank of those that pad a number to the width of its column: `took    5 ms` and `took 1250 ms` are one
    /// statement.
    private mutating func dropPadding() {
        while count > 1, out[count - 1] == UInt8(ascii: " "), out[count - 2] == UInt8(ascii: " ") { count -= 1 }
        // Those blanks are written over.
        mark = min(mark, count)
    }

    /// Takes the bytes up to `end`, already copied by `copyChunk`, into the template.
    @inline(__always)
    private mutating func skip(to end: Int) {
        count += end - position
        position = end
        isGlued = false
    }

    @inline(__always)
    private mutating func copy(to end: Int) {
        let source = reader.bytes + position
        let target = out + count
        let length = end &- position
        var copied = 0
        while copied < length {
            MessageBlock(at: source + copied).store(at: target + copied)
            copied &+= MessageBlock.byteCount
        }
        count += length
        position = end
        isGlued = false
    }

    @inline(__always)
    private mutating func write(_ placeholder: Placeholder) {
        count += texts.write(placeholder, to: out + count)
        isGlued = true
    }
}

extension MessageReader {
    /// Content longer than this, in quotes and not the message itself, is data: a statement, a payload, a user agent.
    private static var quotedTextByteCountMax: Int { 64 }
    private static var quoteScanByteCountMax: Int { 2048 }

    /// The position of the closing quote when the quoted string opened at `quote` becomes `<STRING>` as a whole; else 0.
    ///
    /// Quoted text is normally read like any other, because `"GET /x HTTP/1.1"` or `'sparkExecutor'` say more with their
    /// words. It is a value as a whole after a noun that quotes a name (`relation "orders"`), and when it is long; not
    /// when it is the value of a key such as `msg`, or an HTTP request line.
    /// `written` is the template so far.
    func replaceableQuoteEnd(at quote: Int, after written: MessageReader, opening: UInt8) -> Int {
        let mark = bytes[quote]
        if written.end > 0 {
            // An apostrophe or an inch sign follows a word; an opening quote does not.
            switch written.bytes[written.end - 1] {
            case UInt8(ascii: " "), UInt8(ascii: "="), UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: ","),
                UInt8(ascii: ":"):
                break
            default: return 0
            }
        }
        var close = quote + 1
        let limit = min(end, quote + Self.quoteScanByteCountMax)
        while close < limit, bytes[close] != mark {
            // A placeholder inside shows that the text was read and kept before.
            if bytes[close] == opening { return 0 }
            let isEscape = bytes[close] == UInt8(ascii: "\\")
            // Also behind a backslash: `\0` became `\<NUM>`.
            if isEscape, close + 1 < limit, bytes[close + 1] == opening { return 0 }
            close += isEscape ? 2 : 1
        }
        guard close < limit, close > quote + 1 else { return 0 }
        let word = written.kindsOfLastWord()
        if word.contains(.quotedNoun) { return close }
        guard close - quote > Self.quotedTextByteCountMax, !word.contains(.textKey), !isRequestLine(quote + 1) else {
            return 0
        }
        return close
    }

    /// The kinds of the last word, when it is a word of its own and not the end of a path or an address.
    private func kindsOfLastWord() -> Vocabulary.Kinds {
        guard let word = wordBefore(end) else { return [] }
        if word.lowerBound > 0, !classes[Int(bytes[word.lowerBound - 1])].touches(.stop) { return [] }
        return kinds(from: word.lowerBound, to: word.upperBound)
    }

    /// `GET /`, `POST http`: an upper-case word, a blank and a slash or a scheme.
    private func isRequestLine(_ start: Int) -> Bool {
        let methodEnd = endOfRun(of: .letter, from: start)
        guard methodEnd - start >= 3, methodEnd - start <= 8, byte(methodEnd) == UInt8(ascii: " ") else { return false }
        for index in start..<methodEnd where bytes[index] & 0x20 != 0 { return false }
        return byte(methodEnd + 1) == UInt8(ascii: "/") || has("http", at: methodEnd + 1)
    }
}
