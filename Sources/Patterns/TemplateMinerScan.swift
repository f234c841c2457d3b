/// Cuts a template into tokens and decides which of them are words of the statement, and which are values.
///
/// Looks only at the template, never at what was learned, so a template has the same key on every day and machine.
struct MinerScan: ~Copyable {
    private let classes: UnsafeMutablePointer<ByteClass>
    private let texts: PlaceholderTexts
    private let vocabulary: Vocabulary
    private let lists: MinerWordLists

    init(style: PlaceholderStyle) {
        classes = ByteClass.makeTable()
        texts = PlaceholderTexts(style: style)
        vocabulary = Vocabulary()
        lists = MinerWordLists()
    }

    deinit {
        classes.deallocate()
        texts.deallocate()
        vocabulary.deallocate()
        lists.deallocate()
    }

    func byteCount(_ placeholder: Placeholder) -> Int { texts.byteCount(placeholder) }

    func write(_ placeholder: Placeholder, to target: UnsafeMutablePointer<UInt8>) -> Int {
        texts.write(placeholder, to: target)
    }

    func isWritten(_ placeholder: Placeholder, at bytes: UnsafePointer<UInt8>, count: Int) -> Bool {
        texts.placeholder(at: bytes, count: count) == placeholder
    }

    // MARK: Cutting

    /// Fills `tokens` and returns their number.
    func cut(_ bytes: UnsafePointer<UInt8>, _ end: Int, into tokens: UnsafeMutablePointer<MinerToken>) -> Int {
        var count = 0
        var index = 0
        while index < end {
            let start = index
            let kind = classes[Int(bytes[index])]
            var token = MinerToken(start: UInt16(start), end: 0, kind: .mark, hash: 0)
            if kind.touches([.word, .highByte]) {
                index = wordEnd(bytes, index, end)
                token.kind = .word
                token.hash = WordKey.hash(bytes + start, index - start)
            } else if kind == .blank {
                repeat { index += 1 } while index < end && classes[Int(bytes[index])] == .blank
            } else if bytes[index] == texts.opening,
                let placeholder = texts.placeholder(at: bytes + index, count: end - index)
            {
                index += texts.byteCount(placeholder)
                token.kind = placeholder == .wild ? .wild : placeholder == .bool ? .bool : .placeholder
            } else {
                index += 1
            }
            token.end = UInt16(index)
            tokens[count] = token
            count += 1
        }
        return count
    }

    /// A word with the parts joined to it: `in-flight`, `org.example.Main$1`, `org.example/.ui.Main`. A sign at its end
    /// belongs to it when nothing follows: the rails `b+` and `b-` are two.
    private func wordEnd(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var index = start + 1
        while true {
            while index < end, classes[Int(bytes[index])].touches([.word, .highByte]) { index += 1 }
            var next = index
            while next < end, isJoint(bytes[next]) { next += 1 }
            if next > index, next < end, classes[Int(bytes[next])].touches([.word, .highByte]) {
                index = next
                continue
            }
            if index < end, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-"),
                index + 1 == end || classes[Int(bytes[index + 1])] == .blank
            {
                index += 1
            }
            return index
        }
    }

    @inline(__always)
    private func isJoint(_ byte: UInt8) -> Bool {
        classes[Int(byte)].touches([.joiner, .slash, .mark]) || byte == UInt8(ascii: "$")
    }

    // MARK: Values

    /// Turns words that are values into tokens that are not part of the key, and joins the pieces of a value into one
    /// token. Returns the new number of tokens.
    func markValues(_ bytes: UnsafePointer<UInt8>, _ tokens: UnsafeMutablePointer<MinerToken>, _ count: Int) -> Int {
        var view = TokenView(bytes: bytes, tokens: tokens, count: count)
        var written = 0
        var index = 0
        var hasWord = false
        while index < count {
            if view.mark(index) == UInt8(ascii: "="), index >= 1, let value = valueRange(afterEquals: index, view) {
                for position in index..<value.lowerBound {
                    tokens[written] = tokens[position]
                    written += 1
                }
                // The look-behind below reads `view`, whose earlier tokens were overwritten only by themselves or left.
                if !value.isEmpty {
                    tokens[written] = joined(value, view)
                    written += 1
                }
                index = value.upperBound
                view.offset = index - written
                continue
            }
            var token = tokens[index]
            if token.kind == .word {
                token.kind = kind(ofWord: index, view, isFirst: !hasWord)
                hasWord = true
            }
            tokens[written] = token
            written += 1
            index += 1
            view.offset = index - written
        }
        return written
    }

    /// The value of the `=` at `equals`; `nil` when it is no assignment (`==`, `!=`), empty when a key stands there.
    private func valueRange(afterEquals equals: Int, _ view: TokenView) -> Range<Int>? {
        let before = view.markBefore(equals)
        let isSpaced = before == UInt8(ascii: " ")
        switch before {
        case 0, UInt8(ascii: "]"), UInt8(ascii: ")"), UInt8(ascii: "\""): break
        case UInt8(ascii: " "): guard view.markBefore(equals, back: 2) == 0 else { return nil }
        default: return nil
        }
        var start = equals + 1
        guard view.mark(start) != UInt8(ascii: "=") else { return nil }
        // Past the end there are blanks, too: a value may be missing.
        if isSpaced, start < view.count, view.mark(start) == UInt8(ascii: " ") { start += 1 }
        let quote = view.mark(start)
        if quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
            var end = start + 1
            while end < view.count, view.mark(end) != quote { end += 1 }
            return end < view.count ? start + 1..<end : start..<start
        }
        var depth = 0
        var end = start
        body: while end < view.count {
            switch view.mark(end) {
            case UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "&"), UInt8(ascii: "|"):
                if depth == 0 { break body }
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                if depth == 0, end == start || !isStrayQuote(end, view) { break body }
            case UInt8(ascii: "("): break body
            case UInt8(ascii: "="):
                // A word before another sign is a key itself: `logname= uid=0`, or a structure opens here.
                return start..<start
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: ")"), UInt8(ascii: "}"):
                if depth == 0 { break body }
                depth -= 1
            default: break
            }
            end += 1
        }
        return depth > 0 ? start..<start : start..<end
    }

    /// Whether a double quote ends a value that none opened (`tag="x", name=y", uid=0`): a slip in the program's format, and
    /// no part of the statement.
    private func isStrayQuote(_ index: Int, _ view: TokenView) -> Bool {
        let quote = UInt8(ascii: "\"")
        guard view.mark(index) == quote else { return false }
        switch view.mark(index + 1) {
        case UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: ";"): break
        default: return false
        }
        var count = 0
        for position in 0..<Int(view.tokens[index].start) where view.bytes[position] == quote { count += 1 }
        return count % 2 == 0
    }

    /// One token for the whole of a value.
    private func joined(_ range: Range<Int>, _ view: TokenView) -> MinerToken {
        var token = view.tokens[range.lowerBound]
        token.end = view.tokens[range.upperBound - 1].end
        var words = 0
        var placeholders = 0
        for index in range {
            switch view.tokens[index].kind {
            case .word: words += 1
            case .placeholder, .bool, .wild, .value: placeholders += 1
            case .mark: break
            }
        }
        if range.count == 1 {
            if token.kind == .word {
                token.kind = simpleValue(token, view) ?? (isQualified(token, view) ? .wild : .value)
            }
            return token
        }
        token.hash = WordKey.hash(view.bytes + Int(token.start), Int(token.end - token.start))
        // A list or rectangle of numbers varies in length as well: `[<NUM>,<NUM>][<NUM>,<NUM>]`.
        token.kind = words == 0 && placeholders >= 2 ? .wild : words == 0 && placeholders == 0 ? .mark : .value
        return token
    }

    /// `true`, `false` and nothing are values wherever they stand alone.
    private func simpleValue(_ token: MinerToken, _ view: TokenView) -> MinerToken.Kind? {
        let kinds = lists.kinds(token.hash)
        if kinds.contains(.boolean) { return .bool }
        return kinds.contains(.null) ? .wild : nil
    }

    private func kind(ofWord index: Int, _ view: TokenView, isFirst: Bool) -> MinerToken.Kind {
        let token = view.tokens[index]
        let kinds = lists.kinds(token.hash)
        let before = view.markBefore(index)
        let after = view.mark(index + 1)
        if kinds.touches([.boolean, .null]), after != UInt8(ascii: "=") {
            switch before {
            case UInt8(ascii: " "):
                // `x == null ? …` is program text.
                if view.markBefore(index, back: 2) != UInt8(ascii: "=") {
                    return kinds.contains(.boolean) ? .bool : .wild
                }
            case UInt8(ascii: ":"), UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "\""), UInt8(ascii: "'"),
                UInt8(ascii: ","), UInt8(ascii: "|"):
                return kinds.contains(.boolean) ? .bool : .wild
            default: break
            }
        }
        if isUnit(index, view, before) { return .mark }
        if before == UInt8(ascii: " "), isUserName(index, view, after) { return .wild }
        if !isFirst, isQualified(token, view) { return .value }
        return .word
    }

    /// The unit of a time: a program prints `1 sec` here and `00:15` there, `5 ms` now and `2 s` later.
    private func isUnit(_ index: Int, _ view: TokenView, _ before: UInt8) -> Bool {
        guard index > 0 else { return false }
        let token = view.tokens[index]
        guard token.end - token.start <= 12 else { return false }
        let isTouching = before == 0
        guard isTouching || before == UInt8(ascii: " ") else { return false }
        let number = view.previous(index, back: isTouching ? 1 : 2)
        guard let number, number.kind == .placeholder,
            texts.placeholder(at: view.bytes + Int(number.start), count: Int(number.end - number.start)) == .time
        else { return false }
        return vocabulary.kinds(of: view.bytes + Int(token.start), count: Int(token.end - token.start))
            .touches(.anyTimeUnit)
    }

    /// `for user alice`, `by user root from …`: a preposition, the noun, and one word that stands alone behind it is a name.
    private func isUserName(_ index: Int, _ view: TokenView, _ after: UInt8) -> Bool {
        guard let noun = view.previous(index, back: 2), noun.kind == .word, lists.kinds(noun.hash).contains(.user),
            view.markBefore(index, back: 3) == UInt8(ascii: " "),
            let preposition = view.previous(index, back: 4), lists.kinds(preposition.hash).contains(.preposition)
        else { return false }
        switch after {
        case UInt8(ascii: " "):
            guard index + 2 < view.count else { return true }
            let next = view.tokens[index + 2]
            return next.kind == .mark || lists.kinds(next.hash).contains(.preposition)
        case UInt8(ascii: "]"), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "("): return true
        default: return index + 1 == view.count
        }
    }

    /// A name of three parts and more (`org.example.Main`, `org.example/.ui.Main`): of a class, a package, a setting. What an
    /// exception is called says what happened, and stays.
    private func isQualified(_ token: MinerToken, _ view: TokenView) -> Bool {
        var joints = 0
        for index in Int(token.start)..<Int(token.end) {
            switch view.bytes[index] {
            case UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "$"): joints += 1
            default: break
            }
        }
        return joints >= 2 && !hasSuffix("Exception", token, view) && !hasSuffix("Error", token, view)
    }

    private func hasSuffix(_ text: StaticString, _ token: MinerToken, _ view: TokenView) -> Bool {
        let count = text.utf8CodeUnitCount
        guard Int(token.end - token.start) >= count else { return false }
        let tail = view.bytes + (Int(token.end) - count)
        for index in 0..<count where tail[index] != text.utf8Start[index] { return false }
        return true
    }

    // MARK: What the merge policy asks of a word

    func isNoun(_ hash: UInt64) -> Bool { lists.kinds(hash).touches([.noun, .user]) }
    func isPreposition(_ hash: UInt64) -> Bool { lists.kinds(hash).contains(.preposition) }
}

/// Tokens while values are being marked: those before the current one were moved down by `offset`.
struct TokenView {
    let bytes: UnsafePointer<UInt8>
    let tokens: UnsafeMutablePointer<MinerToken>
    let count: Int
    var offset = 0

    /// The mark at `index`, by its first byte (a blank of any kind is a space); 0 when there is something else. Outside the
    /// template all is blank.
    func mark(_ index: Int) -> UInt8 {
        guard index >= 0, index < count else { return UInt8(ascii: " ") }
        return markByte(tokens[index])
    }

    /// The mark `back` tokens before the one at `index`.
    func markBefore(_ index: Int, back: Int = 1) -> UInt8 {
        guard let token = previous(index, back: back) else { return UInt8(ascii: " ") }
        return markByte(token)
    }

    func previous(_ index: Int, back: Int) -> MinerToken? {
        let position = index - offset - back
        return position >= 0 ? tokens[position] : nil
    }

    private func markByte(_ token: MinerToken) -> UInt8 {
        guard token.kind == .mark else { return 0 }
        let byte = bytes[Int(token.start)]
        return byte >= 0x09 && byte <= 0x0D ? UInt8(ascii: " ") : byte
    }
}

/// The closed word lists of the miner, by word hash. Words of the language and the trade, none taken from a log.
struct MinerWordLists {
    struct Kinds: OptionSet {
        let rawValue: UInt8
        static let boolean = Kinds(rawValue: 1 << 0)
        static let null = Kinds(rawValue: 1 << 1)
        static let preposition = Kinds(rawValue: 1 << 2)
        /// Is followed by the name of one.
        static let noun = Kinds(rawValue: 1 << 3)
        static let user = Kinds(rawValue: 1 << 4)

        func touches(_ other: Kinds) -> Bool { rawValue & other.rawValue != 0 }
    }

    private static let slotCount = 256
    private let hashes: UnsafeMutablePointer<UInt64>
    private let values: UnsafeMutablePointer<Kinds>

    init() {
        hashes = .allocate(capacity: Self.slotCount)
        hashes.initialize(repeating: 0, count: Self.slotCount)
        values = .allocate(capacity: Self.slotCount)
        values.initialize(repeating: [], count: Self.slotCount)
        insert("true false True False TRUE FALSE", as: .boolean)
        insert("null nil NULL", as: .null)
        insert("for of by to from at on in with as via", as: .preposition)
        insert("user User", as: .user)
        insert(
            """
            role database relation table column index topic client device name constraint schema username login sensor \
            friend node scene zone room area entity automation host hostname file class server service process \
            interface module program command group account domain
            """,
            as: .noun
        )
    }

    func deallocate() {
        hashes.deallocate()
        values.deallocate()
    }

    @inline(__always)
    func kinds(_ hash: UInt64) -> Kinds {
        var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while hashes[slot] != 0 {
            if hashes[slot] == hash { return values[slot] }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return []
    }

    private func insert(_ list: StaticString, as kinds: Kinds) {
        let bytes = list.utf8Start
        var start = 0
        for index in 0...list.utf8CodeUnitCount
        where index == list.utf8CodeUnitCount || bytes[index] == UInt8(ascii: " ") {
            if index > start {
                let hash = WordKey.hash(bytes + start, index - start)
                var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
                while hashes[slot] != 0 { slot = (slot + 1) & (Self.slotCount - 1) }
                hashes[slot] = hash
                values[slot].formUnion(kinds)
            }
            start = index + 1
        }
    }
}
