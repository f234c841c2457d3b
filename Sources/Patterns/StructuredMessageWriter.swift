/// Where the template of a structured message is written: a block of memory, how far it is filled, and the style.
///
/// Counts bytes past its block without writing them, so that a pass looks at its bound once a value and not once a byte.
/// `StructuredMessage` owns the block and frees it.
struct StructuredMessageWriter {
    /// Room for what a bounded value may write beyond the template's bound before the pass takes it back.
    private static var capacity: Int { 2 * StructuredMessage.templateByteCountMax }
    /// Bytes of a masked text value. Longer ones are cut at a blank, so that the keys behind it still have room.
    private static var textByteCountMax: Int { 384 }
    /// Where a pass must stop, so that the closing `<MORE>` still fits.
    static var room: Int { StructuredMessage.templateByteCountMax - 6 }

    let opening: UInt8
    let closing: UInt8
    private let block: UnsafeMutablePointer<UInt8>
    /// Bytes written; a pass sets it back to take a value back.
    var count = 0

    init(style: PlaceholderStyle) {
        switch style {
        case .angle: (opening, closing) = (UInt8(ascii: "<"), UInt8(ascii: ">"))
        case .braces: (opening, closing) = (UInt8(ascii: "{"), UInt8(ascii: "}"))
        }
        block = .allocate(capacity: Self.capacity)
        block.initialize(repeating: 0, count: Self.capacity)
    }

    func deallocate() {
        block.deallocate()
    }

    var isPastRoom: Bool { count > Self.room }

    /// The first `count` bytes, which must have been written.
    func view(_ count: Int) -> UnsafeBufferPointer<UInt8> {
        precondition(count <= Self.capacity, "a template ends within its block")
        return UnsafeBufferPointer(start: block, count: count)
    }

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        if count < Self.capacity { block[count] = byte }
        count &+= 1  // at most the bytes of one message more
    }

    mutating func put(_ bytes: UnsafeBufferPointer<UInt8>) {
        for byte in bytes { put(byte) }
    }

    mutating func put(_ bytes: UnsafePointer<UInt8>, from start: Int, to end: Int) {
        put(UnsafeBufferPointer(start: bytes + start, count: end - start))
    }

    mutating func put(_ text: StaticString) {
        put(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// `<NAME>` in the style asked for.
    mutating func put(placeholder name: StaticString) {
        put(opening)
        put(name)
        put(closing)
    }

    /// Writes a masked text in quotes, cut at a blank when it is long. False when masking took a byte that the quotes need, as
    /// it may when a path ends with an escape: then the value can only be shown as a whole.
    mutating func putQuoted(_ masked: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let text = masked.baseAddress else {
            put("\"\"")
            return true
        }
        var length = masked.count
        let isLong = length > Self.textByteCountMax
        if isLong {
            // With its `<MORE>` it must not be long again.
            length = Self.textByteCountMax - 6
            while length > 0, text[length] != UInt8(ascii: " ") { length -= 1 }
            guard length > 0 else { return false }
        }
        var index = 0
        while index < length {
            if text[index] == UInt8(ascii: "\"") { return false }
            index += text[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard index == length else { return false }
        put(UInt8(ascii: "\""))
        put(text, from: 0, to: length)
        if isLong { put(placeholder: "MORE") }
        put(UInt8(ascii: "\""))
        return true
    }

    /// Whether a blank was written at or after `mark`.
    func hasBlank(from mark: Int) -> Bool {
        guard count <= Self.capacity else { return true }
        for index in mark..<count where block[index] <= 0x20 { return true }
        return false
    }

    /// The length of the placeholder at `start`, brackets included; 0 when there is none. `<...>` is one too.
    func placeholderByteCount(_ bytes: UnsafePointer<UInt8>, at start: Int, end: Int) -> Int {
        guard start + 3 <= end, bytes[start] == opening else { return 0 }
        var index = start + 1
        // The longest name has eight letters.
        while index < end, index - start <= 10, Self.isPlaceholderByte(bytes[index]) { index += 1 }
        guard index < end, index > start + 1, bytes[index] == closing else { return 0 }
        return index + 1 - start
    }

    /// Whether `<MORE>`, and nothing else, is left.
    func isMore(_ bytes: UnsafePointer<UInt8>, at start: Int, end: Int) -> Bool {
        guard end - start == 6, bytes[start] == opening, bytes[start + 5] == closing else { return false }
        return bytes[start + 1] == UInt8(ascii: "M") && bytes[start + 2] == UInt8(ascii: "O")
            && bytes[start + 3] == UInt8(ascii: "R") && bytes[start + 4] == UInt8(ascii: "E")
    }

    /// Capitals, and the marks of `<...>` and `<*>`.
    private static func isPlaceholderByte(_ byte: UInt8) -> Bool {
        (byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")) || byte == UInt8(ascii: ".")
            || byte == UInt8(ascii: "*")
    }
}

/// The keys whose values say which statement it was. Words of the trade: structured logging libraries, syslog, OpenTelemetry.
///
/// Owns one open-addressing table of 64-bit hashes; `StructuredMessage` frees it.
struct StructuredMessageKeys {
    enum Kind: UInt8 {
        /// The value is a parameter.
        case other
        /// The value is text that a person reads.
        case text
        /// The value is one of a few words.
        case choice
        /// As `choice`, and a short number is one as well (`"level":30`).
        case level
    }

    /// A power of two, more than twice the words below.
    private static var slotCount: Int { 256 }
    private let hashes: UnsafeMutablePointer<UInt64>
    private let kinds: UnsafeMutablePointer<Kind>

    private static let lists: [(StaticString, Kind)] = [
        ("msg message error err reason detail details description title cause exception text log", .text),
        (
            """
            type kind event category action op operation method component comp module mod logger subsystem facility \
            caller state status result outcome code class mode phase
            """, .choice
        ),
        ("level lvl severity sev loglevel levelname prio priority", .level),
    ]

    init() {
        hashes = .allocate(capacity: Self.slotCount)
        hashes.initialize(repeating: 0, count: Self.slotCount)
        kinds = .allocate(capacity: Self.slotCount)
        kinds.initialize(repeating: .other, count: Self.slotCount)
        for (list, kind) in Self.lists {
            let bytes = list.utf8Start
            var start = 0
            for index in 0...list.utf8CodeUnitCount
            where index == list.utf8CodeUnitCount || bytes[index] == UInt8(ascii: " ") {
                insert(Self.hash(bytes, start, index), kind)
                start = index + 1
            }
        }
    }

    func deallocate() {
        hashes.deallocate()
        kinds.deallocate()
    }

    /// The kind of the key `start..<end`, by its last part: `log.level`, `event_type` and `error-message` mean what `level`,
    /// `type` and `message` mean.
    func kind(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Kind {
        var partStart = end
        while partStart > start {
            let byte = bytes[partStart - 1]
            if byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") { break }
            partStart -= 1
        }
        guard end - partStart >= 2, end - partStart <= 12 else { return .other }
        let hash = Self.hash(bytes, partStart, end)
        var slot = Int(truncatingIfNeeded: hash >> 32) & (Self.slotCount - 1)
        while hashes[slot] != 0 {
            if hashes[slot] == hash { return kinds[slot] }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return .other
    }

    private func insert(_ hash: UInt64, _ kind: Kind) {
        var slot = Int(truncatingIfNeeded: hash >> 32) & (Self.slotCount - 1)
        while hashes[slot] != 0 { slot = (slot + 1) & (Self.slotCount - 1) }
        hashes[slot] = hash
        kinds[slot] = kind
    }

    /// FNV-1a, 64 bits, over the bytes with the case bit set. Never 0.
    private static func hash(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in start..<end {
            // Wrapping is the definition of the hash.
            hash = (hash ^ UInt64(bytes[index] | 0x20)) &* 0x0000_0100_0000_01b3
        }
        return hash | 1
    }
}
