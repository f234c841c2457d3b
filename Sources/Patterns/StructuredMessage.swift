/// Turns a message that is data, JSON or logfmt, into a template of its keys: `{"user":"bob","ms":12}` becomes
/// `{"user":<STRING>,"ms":<NUM>}`.
///
/// Such a message has no words that stay, so masking byte by byte would give nearly every line a template of its own. Here
/// the keys are the statement and the values are parameters, typed by what the form says about them. What stays of the
/// values: the text of a message key (`msg`, `error`), masked like any message, and the word of a key that enumerates
/// (`level`, `type`, `event`), because those tell statements apart.
///
/// Recognised: a JSON object or array (RFC 8259) as the whole message, also when it was cut; a JSON object at the end of
/// an ordinary message (`MQTT publish: … payload {"state":"ON"}`); logfmt, at least two `key=value` pairs that make up
/// most of the text, the first at its head.
///
/// Guarantees, for any bytes: the template has at most ``templateByteCountMax`` bytes; the template of a template is the
/// same. Keys keep their order, so two senders that order them differently have two templates. Cost is linear in the bytes
/// read, at most ``messageByteCountMax``; an ordinary message is turned away after its first word and its last byte.
/// Nothing is allocated after `init`. Owns about 3 KiB. Not safe to share between threads: one for each.
public struct StructuredMessage: ~Copyable {
    /// Bytes of a message that are looked at; what follows is `<MORE>`. The same as ``Normalizer`` looks at.
    public static var messageByteCountMax: Int { 8 * 1024 }
    /// Bytes of a template, the closing `<MORE>` included. The same as ``Normalizer`` writes at most.
    public static var templateByteCountMax: Int { 1024 }
    /// Objects inside objects whose keys are kept; deeper ones are `{<...>}`. Devices nest two or three deep.
    public static var depthMax: Int { 4 }
    /// Text before a JSON object that ends a message. Longer text says enough by itself.
    static var headByteCountMax: Int { 512 }

    private let writer: StructuredMessageWriter
    private let keys: StructuredMessageKeys

    public init(style: PlaceholderStyle = .angle) {
        writer = StructuredMessageWriter(style: style)
        keys = StructuredMessageKeys()
    }

    deinit {
        writer.deallocate()
        keys.deallocate()
    }

    /// The template of `message` when it is structured, `nil` when it is ordinary text. The view belongs to self and is
    /// valid until the next call; `normalizer` masks the values that are text, and what it returned before is lost.
    public mutating func template(
        of message: UnsafeBufferPointer<UInt8>,
        normalizer: inout Normalizer
    ) -> UnsafeBufferPointer<UInt8>? {
        guard let bytes = message.baseAddress, message.count >= 2 else { return nil }
        let first = bytes[0]
        if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
            if let template = whole(bytes, message.count, &normalizer) { return template }
            // `[main] got {"a":1}`, or a head that is a placeholder in braces. After `{"` it is JSON that went wrong, and
            // an object inside of it is no better.
            guard first == UInt8(ascii: "[") || (bytes[1] >= UInt8(ascii: "A") && bytes[1] <= UInt8(ascii: "Z")) else {
                return nil
            }
            return tail(bytes, message.count, &normalizer)
        }
        if Self.mayBeginPairs(bytes, message.count) {
            var pass = StructuredMessagePairs(
                bytes: bytes,
                end: min(message.count, Self.messageByteCountMax),
                isCut: message.count > Self.messageByteCountMax,
                writer: writer,
                keys: keys
            )
            if let count = pass.run(&normalizer) { return writer.view(count) }
        }
        return tail(bytes, message.count, &normalizer)
    }

    /// A message that is JSON from its first byte on.
    private func whole(
        _ bytes: UnsafePointer<UInt8>,
        _ byteCount: Int,
        _ normalizer: inout Normalizer
    ) -> UnsafeBufferPointer<UInt8>? {
        var pass = StructuredMessageJSON(
            bytes: bytes,
            start: 0,
            end: min(byteCount, Self.messageByteCountMax),
            writer: writer,
            keys: keys
        )
        guard let count = pass.run(mayBeCut: true, &normalizer) else { return nil }
        return writer.view(count)
    }

    /// An ordinary message that ends with a JSON object. Complete ones only: a cut one is told from ordinary text by its
    /// last byte.
    private func tail(
        _ bytes: UnsafePointer<UInt8>,
        _ byteCount: Int,
        _ normalizer: inout Normalizer
    ) -> UnsafeBufferPointer<UInt8>? {
        guard bytes[byteCount - 1] == UInt8(ascii: "}"), byteCount <= Self.messageByteCountMax else { return nil }
        var start = 1
        let limit = min(byteCount - 2, Self.headByteCountMax)
        while start < limit, bytes[start] != UInt8(ascii: "{") || bytes[start + 1] != UInt8(ascii: "\"") { start += 1 }
        guard start < limit else { return nil }
        let head = normalizer.normalize(UnsafeBufferPointer(start: bytes, count: start))
        guard head.count < Self.templateByteCountMax / 2 else { return nil }
        var pass = StructuredMessageJSON(bytes: bytes, start: start, end: byteCount, writer: writer, keys: keys)
        pass.writer.put(head)
        guard let count = pass.run(mayBeCut: false, &normalizer) else { return nil }
        return writer.view(count)
    }

    /// Whether the first word is a key and an equals sign. Ordinary text is turned away at the end of its first word.
    @inline(__always)
    static func mayBeginPairs(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        guard StructuredMessagePairs.beginsKey(bytes[0]) else { return false }
        if count >= MessageBlock.byteCount {
            let block = MessageBlock(at: bytes)
            if block.contains(UInt8(ascii: " ")), !block.contains(UInt8(ascii: "=")) { return false }
        }
        let limit = min(count, StructuredMessagePairs.keyByteCountMax + 1)
        var index = 1
        while index < limit, StructuredMessagePairs.continuesKey(bytes[index]) { index &+= 1 }  // below `limit`
        return index < limit && bytes[index] == UInt8(ascii: "=")
    }
}
