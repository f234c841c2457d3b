/// How a placeholder is written in a template.
public enum PlaceholderStyle: Sendable {
    /// `<ID>`
    case angle
    /// `{ID}`
    case braces
}

/// The token that stands for a variable part of a message. The raw value indexes `PlaceholderTexts`.
enum Placeholder: UInt8, CaseIterable {
    case id, time, path, num, hex, uuid, ip, mac, url, email, size, duration, version, string, topic
    /// The rest of the message, past a bound of the template.
    case more
    /// `true` or `false`. Written by the miner, which knows the words around it.
    case bool
    /// Anything: what the miner found to vary where masking saw text, or values of more than one kind.
    case wild
    /// What ``Redactor`` took out; in a message it may have a hash behind it.
    case redacted

    var name: StaticString {
        switch self {
        case .id: "ID"
        case .time: "TIME"
        case .path: "PATH"
        case .num: "NUM"
        case .hex: "HEX"
        case .uuid: "UUID"
        case .ip: "IP"
        case .mac: "MAC"
        case .url: "URL"
        case .email: "EMAIL"
        case .size: "SIZE"
        case .duration: "DURATION"
        case .version: "VERSION"
        case .string: "STRING"
        case .topic: "TOPIC"
        case .more: "MORE"
        case .bool: "BOOL"
        case .wild: "*"
        case .redacted: "REDACTED"
        }
    }
}

/// The written form of every placeholder in one style, ready to be copied in two machine words.
///
/// Owns 19 slots of 16 bytes; `Normalizer` frees them through `deallocate()`.
struct PlaceholderTexts {
    static let slotByteCount = 16

    let opening: UInt8
    let closing: UInt8
    private let slots: UnsafeMutableRawPointer
    private let lengths: UnsafeMutablePointer<UInt8>

    init(style: PlaceholderStyle) {
        switch style {
        case .angle: (opening, closing) = (UInt8(ascii: "<"), UInt8(ascii: ">"))
        case .braces: (opening, closing) = (UInt8(ascii: "{"), UInt8(ascii: "}"))
        }
        let count = Placeholder.allCases.count
        slots = .allocate(byteCount: count * Self.slotByteCount, alignment: 16)
        slots.initializeMemory(as: UInt8.self, repeating: 0, count: count * Self.slotByteCount)
        lengths = .allocate(capacity: count)
        for placeholder in Placeholder.allCases {
            let name = placeholder.name
            let slot = slots + Int(placeholder.rawValue) * Self.slotByteCount
            slot.storeBytes(of: opening, as: UInt8.self)
            (slot + 1).copyMemory(from: name.utf8Start, byteCount: name.utf8CodeUnitCount)
            slot.storeBytes(of: closing, toByteOffset: name.utf8CodeUnitCount + 1, as: UInt8.self)
            (lengths + Int(placeholder.rawValue)).initialize(to: UInt8(name.utf8CodeUnitCount + 2))
        }
    }

    func deallocate() {
        slots.deallocate()
        lengths.deallocate()
    }

    /// Bytes the placeholder takes in a template, brackets included; 4 to 10.
    @inline(__always)
    func byteCount(_ placeholder: Placeholder) -> Int {
        Int(lengths[Int(placeholder.rawValue)])
    }

    /// Writes the placeholder at `target`, which must have `slotByteCount` writable bytes; returns its length.
    @inline(__always)
    func write(_ placeholder: Placeholder, to target: UnsafeMutablePointer<UInt8>) -> Int {
        let slot = slots + Int(placeholder.rawValue) * Self.slotByteCount
        // Two unconditional words cost less than a copy of the exact length.
        let raw = UnsafeMutableRawPointer(target)
        raw.storeBytes(of: slot.load(as: UInt64.self), as: UInt64.self)
        raw.storeBytes(of: slot.load(fromByteOffset: 8, as: UInt64.self), toByteOffset: 8, as: UInt64.self)
        return byteCount(placeholder)
    }

    /// The length of the mark of a redaction at `bytes`, of which `count` may be read: `<REDACTED>` or, under a key,
    /// `<REDACTED:1a2b3c4d>`, whatever the style; 0 if there is none.
    func redactionByteCount(at bytes: UnsafePointer<UInt8>, count: Int) -> Int {
        let name: StaticString = "<REDACTED"
        let nameCount = name.utf8CodeUnitCount
        guard count > nameCount, bytes[1] == UInt8(ascii: "R") else { return 0 }
        for index in 0..<nameCount where bytes[index] != name.utf8Start[index] { return 0 }
        if bytes[nameCount] == UInt8(ascii: ">") { return nameCount + 1 }
        guard count >= nameCount + 10, bytes[nameCount] == UInt8(ascii: ":"),
            bytes[nameCount + 9] == UInt8(ascii: ">")
        else { return 0 }
        for index in (nameCount + 1)..<(nameCount + 9) {
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): continue
            default: return 0
            }
        }
        return nameCount + 10
    }

    /// The placeholder written at `bytes`, of which `count` may be read; `nil` if there is none. This is what makes
    /// normalising a template give the same template.
    func placeholder(at bytes: UnsafePointer<UInt8>, count: Int) -> Placeholder? {
        guard count >= 3, bytes[0] == opening else { return nil }
        if bytes[1] == UInt8(ascii: "*"), bytes[2] == closing { return .wild }
        // A name begins with a capital: rejects almost every other bracket at once.
        guard count >= 4, bytes[1] >= UInt8(ascii: "A"), bytes[1] <= UInt8(ascii: "Z") else { return nil }
        for placeholder in Placeholder.allCases {
            let length = byteCount(placeholder)
            guard length <= count else { continue }
            let slot = (slots + Int(placeholder.rawValue) * Self.slotByteCount).assumingMemoryBound(to: UInt8.self)
            var index = 1
            while index < length, slot[index] == bytes[index] { index += 1 }
            if index == length { return placeholder }
        }
        return nil
    }
}
