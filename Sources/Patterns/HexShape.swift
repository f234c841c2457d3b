internal import LogModel

/// A message in which every hexadecimal digit of an identifier is ``anyDigit``: request numbers, hashes, device addresses and the like never
/// come twice, while the rest of their message does.
///
/// Taken for an identifier is a chunk of text (``ByteClass``) that stands alone between blanks or marks, of one of these forms, in small
/// letters:
///
/// - `8-4-4-4-12` digits (RFC 9562), a letter among the first eight;
/// - `0x` and digits, a letter beside a figure among them;
/// - eight digits or more, of which a letter that is neither `d` nor `e` stands before a figure.
///
/// All rules come to the same outcome for all identifiers of one form and length. A letter among the first eight is in no date; that letter
/// before a figure leaves out what else could be meant, an amount with its unit (`12345678d`), a duration (`1d12d`), an exponent
/// (`12345e67`). Two things are asked besides, because rules look past a chunk: no number stands next to it (`fd 12` is a descriptor,
/// `…fd 12` an identifier and a number), and one blank before it, not two, as those before a figure are a column's padding. What a
/// rule asked about the figures in it is noted as of any others (``DigitConditions``), and then the message is not kept in this form
/// (``isFree(of:)``); so is what the search for a level asked about its last letter.
///
/// Owns some 450 bytes that ``deallocate()`` frees.
struct HexShape {
    /// Stands for any hexadecimal digit of an identifier. No UTF-8 has this byte (RFC 3629).
    static let anyDigit: UInt8 = 0xFE

    private static let figure: UInt8 = 1 << 0
    private static let letter: UInt8 = 1 << 1
    private static let dash: UInt8 = 1 << 2
    private static let times: UInt8 = 1 << 3
    private static let colon: UInt8 = 1 << 4
    private static let other: UInt8 = 1 << 5

    /// How far a number may be to count as next to an identifier: rules look over four marks between a name and its value.
    private static let apartByteCount = 6
    private static let plainByteCountMin = 8

    private let kinds: UnsafeMutablePointer<UInt8>
    private let bytes: UnsafeMutablePointer<UInt8>
    private var count = 0

    /// The message read last, valid until the next one.
    var text: ByteView { ByteView(start: bytes, count: count) }

    init() {
        kinds = .allocate(capacity: 256)
        for value in 0...255 { (kinds + value).initialize(to: Self.kind(UInt8(value))) }
        // Looked at in blocks, and at a byte more.
        bytes = .allocate(capacity: RecentMessages.messageByteCountMax + 2 * MessageBlock.byteCount)
    }

    func deallocate() {
        kinds.deallocate()
        bytes.deallocate()
    }

    /// What a byte is in a chunk; 0 for one that ends it.
    private static func kind(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): figure
        case UInt8(ascii: "a")...UInt8(ascii: "f"): letter
        case UInt8(ascii: "-"): dash
        case UInt8(ascii: "x"): times
        case UInt8(ascii: ":"): colon
        case UInt8(ascii: "g")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
            UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "/"), UInt8(ascii: "@"), UInt8(ascii: "\\"),
            UInt8(ascii: "+"), 0x80...0xFF:
            other
        default: 0
        }
    }

    /// Whether there is an identifier in a message; then ``text`` is the message in this form. It ``RecentMessages/fits(_:)``.
    mutating func read(_ message: ByteView) -> Bool {
        guard let source = message.baseAddress, copy(source, message.count) else { return false }
        count = message.count
        var isFound = false
        var index = 0
        // Where the last chunk ended that was looked at.
        var floor = 0
        while index < count {
            let seams = Self.seams(at: bytes + index)
            guard seams[0] | seams[1] != 0 else {
                index &+= MessageBlock.byteCount  // beyond `count` there is room
                continue
            }
            var start = index &+ Self.firstIndex(seams)
            var end = start
            var found: UInt8 = 0
            while start > floor, kinds[Int(source[start &- 1])] != 0 { start &-= 1 }
            while end < count, kinds[Int(source[end])] != 0 { end &+= 1 }
            for place in start..<end { found |= kinds[Int(source[place])] }
            if found & Self.other == 0, let digits = identifier(source, start, end, found),
                isApart(source, start, digits.end, count)
            {
                isFound = true
                write(digits, isDashed: found & Self.dash != 0)
            }
            floor = end
            index = end
        }
        return isFound
    }

    /// The places, in sixteen bytes, at which a figure stands before a small hexadecimal letter or behind one: in every identifier there
    /// are some, and hardly any in other words.
    @inline(__always)
    private static func seams(at source: UnsafePointer<UInt8>) -> SIMD2<UInt64> {
        let here = UnsafeRawPointer(source).loadUnaligned(as: SIMD16<UInt8>.self)
        let next = UnsafeRawPointer(source + 1).loadUnaligned(as: SIMD16<UInt8>.self)
        return isFigure(here) & isLetter(next) | isLetter(here) & isFigure(next)
    }

    // Whole vectors of a type spelled out, and the masks as words: otherwise the compiler goes byte by byte (Swift 6.3).
    @inline(__always)
    private static func isFigure(_ block: SIMD16<UInt8>) -> SIMD2<UInt64> {
        let mask = (block &- SIMD16<UInt8>(repeating: UInt8(ascii: "0"))) .<= SIMD16<UInt8>(repeating: 9)
        return unsafeBitCast(mask, to: SIMD2<UInt64>.self)
    }

    @inline(__always)
    private static func isLetter(_ block: SIMD16<UInt8>) -> SIMD2<UInt64> {
        let mask = (block &- SIMD16<UInt8>(repeating: UInt8(ascii: "a"))) .<= SIMD16<UInt8>(repeating: 5)
        return unsafeBitCast(mask, to: SIMD2<UInt64>.self)
    }

    @inline(__always)
    private static func firstIndex(_ marks: SIMD2<UInt64>) -> Int {
        let low = UInt64(littleEndian: marks[0])
        return low != 0 ? low.trailingZeroBitCount >> 3 : 8 &+ UInt64(littleEndian: marks[1]).trailingZeroBitCount >> 3
    }

    private func write(_ digits: (start: Int, end: Int), isDashed: Bool) {
        (bytes + digits.start).update(repeating: Self.anyDigit, count: digits.end - digits.start)
        guard isDashed else { return }
        bytes[digits.start + 8] = UInt8(ascii: "-")
        for place in 0..<3 { bytes[digits.start + 13 + 5 * place] = UInt8(ascii: "-") }
    }

    /// Whether no rule asked about a figure of the identifiers read last.
    func isFree(of conditions: DigitConditions) -> Bool {
        guard !conditions.needsLetters else { return false }
        for place in 0..<count where bytes[place] == Self.anyDigit {
            if conditions.isExact(place) { return false }
        }
        for index in 0..<conditions.rangeCount {
            for place in conditions.range(index).places where bytes[place] == Self.anyDigit { return false }
        }
        return true
    }

    /// Copies a message, and blanks behind it; false when there is anything but ASCII in it, of which no form is kept.
    private func copy(_ source: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let raw = UnsafeRawPointer(source)
        let target = UnsafeMutableRawPointer(bytes)
        var all = SIMD16<UInt8>(repeating: 0)
        var index = 0
        while index &+ 16 <= count {
            let block = raw.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
            target.storeBytes(of: block, toByteOffset: index, as: SIMD16<UInt8>.self)
            all |= block
            index &+= 16  // below `count`
        }
        var rest: UInt8 = 0
        while index < count {
            bytes[index] = source[index]
            rest |= source[index]
            index &+= 1  // below `count`
        }
        MessageBlock.blank.store(at: bytes + count)
        MessageBlock.blank.store(at: bytes + count + MessageBlock.byteCount)
        let words = unsafeBitCast(all, to: SIMD2<UInt64>.self)
        return (words[0] | words[1]) & 0x8080_8080_8080_8080 == 0 && rest < 0x80
    }

    /// Where the digits of the identifier stand that the chunk is, which has figures and letters; `nil` when it is none. A colon behind
    /// it is none of it.
    private func identifier(
        _ source: UnsafePointer<UInt8>,
        _ start: Int,
        _ chunkEnd: Int,
        _ found: UInt8
    ) -> (start: Int, end: Int)? {
        var end = chunkEnd
        if found & Self.colon != 0 {
            end -= 1
            for place in start..<end where source[place] == UInt8(ascii: ":") { return nil }
        }
        switch found & (Self.dash | Self.times) {
        case 0: return end - start >= Self.plainByteCountMin && isPlain(source, start, end) ? (start, end) : nil
        case Self.times:
            guard source[start] == UInt8(ascii: "0"), source[start + 1] == UInt8(ascii: "x"), end > start + 2 else {
                return nil
            }
            for place in (start + 2)..<end where source[place] == UInt8(ascii: "x") { return nil }
            return (start + 2, end)
        case Self.dash:
            guard end - start == 36 else { return nil }
            for offset in 0..<36 {
                let isDash = offset == 8 || offset == 13 || offset == 18 || offset == 23
                if isDash != (source[start + offset] == UInt8(ascii: "-")) { return nil }
            }
            for place in start..<(start + 8) where kinds[Int(source[place])] == Self.letter { return (start, end) }
            return nil
        default: return nil
        }
    }

    private func isPlain(_ source: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
        for place in start..<(end - 1) where kinds[Int(source[place + 1])] == Self.figure {
            switch source[place] {
            case UInt8(ascii: "a"), UInt8(ascii: "b"), UInt8(ascii: "c"), UInt8(ascii: "f"): return true
            default: continue
            }
        }
        return false
    }

    /// Whether an identifier stands where nothing around it depends on which one it is.
    private func isApart(_ source: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ count: Int) -> Bool {
        if start > 0 {
            switch source[start - 1] {
            case UInt8(ascii: " "): if start > 1, source[start - 2] == UInt8(ascii: " ") { return false }
            case UInt8(ascii: "="), UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: ","), UInt8(ascii: ";"),
                UInt8(ascii: "\""), UInt8(ascii: "'"):
                break
            default: return false
            }
        }
        var next = end
        if next < count, source[next] == UInt8(ascii: ":") { next += 1 }
        if next < count {
            switch source[next] {
            case UInt8(ascii: " "): break
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "\""),
                UInt8(ascii: "'"):
                guard next == end else { return false }
            default: return false
            }
        }
        return !isFigureNext(source, from: next, to: min(count, next + Self.apartByteCount), by: 1)
            && !isFigureNext(source, from: start - 1, to: max(-1, start - 1 - Self.apartByteCount), by: -1)
    }

    /// Whether the first letter or figure from a place on is a figure.
    private func isFigureNext(_ source: UnsafePointer<UInt8>, from start: Int, to end: Int, by step: Int) -> Bool {
        for place in stride(from: start, to: end, by: step) {
            switch source[place] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): return true
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): return false
            default: continue
            }
        }
        return false
    }
}
