public import LogModel

/// The way of a message to its pattern: secrets out, variable parts masked, the pattern learned.
///
/// Owns what all three steps know. The daemon and `logboom patterns` both count through it, so that they say the same of
/// the same message. Not safe to share between threads: one for each.
public struct PatternEngine: ~Copyable {
    private var redactor: Redactor
    private var attributeRedactor: Redactor
    private var structured: StructuredMessage
    private var normalizer: Normalizer
    public private(set) var miner: TemplateMiner
    private let classifier = Classifier()
    private let again: UnsafeMutablePointer<UInt8>
    private var recent = RecentMessages()
    /// What the outcome for the message at hand depended on besides its shape.
    private let conditions = DigitConditions()
    private var hexShape = HexShape()
    /// Of the message asked for last.
    private var recentHash: UInt64 = 0
    /// Of it in the other form; `nil` when there is no identifier in it.
    private var recentHexHash: UInt64?
    /// The message without escape sequences; touched only when there are any.
    private let unescaped: UnsafeMutablePointer<UInt8>
    /// What a pattern speaks of, by its number, and for which template and source that was found out.
    private var classifications: [(key: UInt64, classification: Classification)] = []

    /// - Parameters:
    ///   - capacity: `MAX_PATTERNS`.
    ///   - redactionKey: makes equal secrets tellable (``Redactor/init(key:)``).
    public init(capacity: Int, style: PlaceholderStyle, redactionKey: [UInt8]? = nil) {
        redactor = Redactor(key: redactionKey)
        attributeRedactor = Redactor(key: redactionKey)
        structured = StructuredMessage(style: style)
        normalizer = Normalizer(style: style)
        miner = TemplateMiner(capacity: capacity, style: style)
        again = .allocate(capacity: Normalizer.templateByteCountMax)
        unescaped = .allocate(capacity: Redactor.messageByteCountMax)
    }

    deinit {
        again.deallocate()
        recent.deallocate()
        conditions.deallocate()
        hexShape.deallocate()
        unescaped.deallocate()
    }

    /// Bytes held that grow, or that grew to their bound: patterns, messages seen lately, classifications.
    public var byteCount: Int {
        miner.byteCount + recent.byteCount
            + classifications.capacity * MemoryLayout<(key: UInt64, classification: Classification)>.stride
    }

    /// Secrets replaced since the start, in messages and attributes.
    public var redactionCount: Int { redactor.redactionCount + attributeRedactor.redactionCount + secretKeyCount }
    private var secretKeyCount = 0

    /// The message without its secrets and without what only a terminal understands (colours, titles), valid until the next
    /// call: the message itself when there is neither.
    public mutating func redact(_ message: ByteView) -> ByteView {
        guard EscapeSequences.areIn(message) else { return redactor.redact(message) }
        let count = EscapeSequences.remove(from: message, to: unescaped, capacity: Redactor.messageByteCountMax)
        return redactor.redact(ByteView(start: unescaped, count: count))
    }

    /// A message that is the same as one of the last few thousand, but perhaps for digits that do not matter.
    public struct Recalled {
        /// As ``TemplateMiner/Outcome/known(_:)`` says it.
        public let number: Int
        /// What ``remember(_:number:level:)`` was given.
        public let level: UInt8
    }

    /// Finds the pattern of a message that was ``remember(_:number:level:)``ed, for a tenth of the cost of finding it out;
    /// `nil` when it must be redacted, masked and learned. Says what those said then, as long as that pattern lives: learned
    /// anew, a message may fall to one that came since and fits as well.
    @inline(__always)
    public mutating func recall(_ message: ByteView, epoch: UInt64) -> Recalled? {
        guard RecentMessages.fits(message) else { return nil }
        guard let bytes = message.baseAddress else { return nil }
        recentHash = TextHash.hashShape(bytes, message.count)
        recentHexHash = nil
        if let entry = recent.find(message, hash: recentHash),
            miner.use(Int(entry.number), stamp: entry.stamp, epoch: epoch)
        {
            return Recalled(number: Int(entry.number), level: entry.level)
        }
        return recallHexShape(of: message, epoch: epoch)
    }

    /// The same for one that differs in the digits of an identifier too.
    @inline(never)
    private mutating func recallHexShape(of message: ByteView, epoch: UInt64) -> Recalled? {
        if hexShape.read(message), let bytes = hexShape.text.baseAddress {
            let hash = TextHash.hashShape(bytes, message.count)
            recentHexHash = hash
            if let entry = recent.find(hexShape.text, hash: hash, form: .hexShape),
                miner.use(Int(entry.number), stamp: entry.stamp, epoch: epoch)
            {
                return Recalled(number: Int(entry.number), level: entry.level)
            }
        }
        conditions.begin()
        return nil
    }

    /// Keeps a message for ``recall(_:epoch:)``. It was asked for just now, then redacted, in which nothing was replaced, and
    /// masked and learned by this engine; what ``level(in:)`` said of it, or anything else that follows from its pattern
    /// alone, comes back as `level`.
    public mutating func remember(_ message: ByteView, number: Int, level: UInt8) {
        guard RecentMessages.fits(message) else { return }
        recent.makeRoom(forPatterns: miner.patternCount)
        let entry = RecentMessages.Entry(number: Int32(number), stamp: miner.stamp(of: number), level: level)
        if let hash = recentHexHash {
            conditions.add(redactor.conditions)
            if hexShape.isFree(of: conditions) {
                let shape = hexShape.text
                if recent.wants(shape, hash: hash) {
                    recent.insert(shape, hash: hash, form: .hexShape, entry, conditions)
                }
                return
            }
        }
        guard recent.wants(message, hash: recentHash) else { return }
        conditions.add(redactor.conditions)
        recent.insert(message, hash: recentHash, entry, conditions)
    }

    /// The level that the message states, found in it as ``Severity/found(in:)`` does.
    public mutating func level(in message: ByteView) -> Severity? { Severity.found(in: message, noting: conditions) }

    /// The value of an attribute without its secrets, valid until the next call.
    public mutating func redact(_ attribute: AttributeView) -> ByteView {
        guard !attributeRedactor.isSecretKey(attribute.key) else {
            secretKeyCount += 1
            return Self.redacted
        }
        return attributeRedactor.redact(attribute.value)
    }

    private static let redactedText: StaticString = "<REDACTED>"
    private static var redacted: ByteView {
        ByteView(start: redactedText.utf8Start, count: redactedText.utf8CodeUnitCount)
    }

    /// The template of one message, without knowledge of others; valid until the next call. Always well-formed UTF-8 without
    /// NUL, whatever the message: a template goes into merges and the catalogue as it is, and names its pattern.
    public mutating func mask(_ message: ByteView) -> ByteView {
        if TextSurvey.isPlainLine(message) { return mask(clean: message, isLine: true) }
        conditions.needAll()
        guard !UTF8Repair.isClean(message) else { return mask(clean: message, isLine: false) }
        var repaired: [UInt8] = []
        UTF8Repair.append(message, to: &repaired, byteCountMax: Limits.messageByteCountMax)
        return repaired.withUnsafeBufferPointer { mask(clean: $0, isLine: false) }
    }

    /// `isLine`: there is no line feed in it.
    private mutating func mask(clean message: ByteView, isLine: Bool) -> ByteView {
        let mayBeStructured = Self.mayBeStructured(message)
        // Reading data masks its values one by one, and asks about numbers in its own way.
        if mayBeStructured { conditions.needAll() }
        if mayBeStructured, let template = structured.template(of: message, normalizer: &normalizer) {
            return template
        }
        let template = normalizer.normalize(isLine ? message : Headline.of(message))
        // Now: reading the template as data asks about parts of it.
        conditions.add(normalizer.conditions)
        guard Self.mayBeStructured(template), template.count <= Normalizer.templateByteCountMax else { return template }
        return readAgain(template)
    }

    /// `{"t":6x7}` is no JSON, `{"t":<ID>}` is data with a placeholder in it: what is read as data when it comes back as a
    /// template is taken for data at once. A copy, because reading it masks its values in the same memory.
    private mutating func readAgain(_ template: ByteView) -> ByteView {
        for index in 0..<template.count { again[index] = template[index] }
        let copy = ByteView(start: again, count: template.count)
        return structured.template(of: copy, normalizer: &normalizer) ?? copy
    }

    /// Whether text might be data: a few of a hundred ordinary lines at most. All that ``StructuredMessage`` takes is.
    @inline(__always)
    private static func mayBeStructured(_ text: ByteView) -> Bool {
        guard let bytes = text.baseAddress, text.count >= 2 else { return false }
        let last = bytes[text.count - 1]
        let first = bytes[0]
        if last == UInt8(ascii: "}") || first == UInt8(ascii: "{") { return true }
        if first == UInt8(ascii: "[") {
            // An array of anything but objects is data only when its bracket ends the message: `[main] started` is not.
            return last == UInt8(ascii: "]") || last <= 0x20 || bytes[1] == UInt8(ascii: "{") || bytes[1] <= 0x20
                || text.count > StructuredMessage.messageByteCountMax
        }
        return StructuredMessage.mayBeginPairs(bytes, text.count)
    }

    /// Finds or makes the pattern of a message without secrets. `epoch` marks it as used (``TemplateMiner/learn(_:epoch:)``).
    public mutating func learn(_ message: ByteView, epoch: UInt64) -> TemplateMiner.Outcome {
        miner.learn(mask(message), epoch: epoch)
    }

    /// The same for text that ``mask(_:)`` gave, whose ``hash(ofMasked:)`` the caller has.
    @inline(__always)
    public mutating func learn(masked template: ByteView, hash: UInt64, epoch: UInt64) -> TemplateMiner.Outcome {
        miner.learn(template, hash: hash, epoch: epoch)
    }

    /// What ``keep(level:ofMasked:)`` was given for a masked text that was learned not long ago. Mutating, because a borrow
    /// across modules copies the whole engine (Swift 6.3).
    public mutating func level(ofMasked hash: UInt64) -> UInt8? { miner.level(ofText: hash) }

    /// Keeps a level, below 255, with a masked text that was learned just now, for as long as the text is remembered.
    public mutating func keep(level: UInt8, ofMasked hash: UInt64) { miner.keep(level: level, ofText: hash) }

    /// The hash by which masked texts are found; changes from version to version.
    public static func hash(ofMasked template: ByteView) -> UInt64 { TextHash.hash(template) }

    /// See ``TemplateMiner/settle()``.
    public mutating func settle() { miner.settle() }

    /// A template of an earlier run; one that was damaged meanwhile is left out.
    public mutating func restore(template: ByteView) {
        if UTF8Repair.isClean(template) { miner.restore(template: template) }
    }

    /// What a pattern of `source` speaks of; computed when text or source are others than the last time.
    public mutating func classification(of number: Int, id: UInt64, template: ByteView, source: ByteView)
        -> Classification
    {
        while classifications.count <= number { classifications.append((0, Classification())) }
        let key = XXH64.hash(source, seed: id)
        if classifications[number].key != key {
            classifications[number] = (key, classifier.classify(template: template, source: source))
        }
        return classifications[number].classification
    }

    /// The merges since the last call, each with the text of the pattern that is left; one that left nothing, because it was
    /// forgotten meanwhile, is left out. Linear in the patterns when there are any, else nothing.
    public mutating func takeMerges() -> [TemplateMerge] {
        var pairs: [(from: UInt64, to: UInt64)] = []
        miner.takeMerges { from, to in pairs.append((from, to)) }
        guard !pairs.isEmpty else { return [] }
        var next: [UInt64: UInt64] = [:]
        for pair in pairs where pair.from != pair.to { next[pair.from] = pair.to }
        var texts: [UInt64: [UInt8]] = [:]
        miner.forEachTemplate { _, id, text in texts[id] = Array(text) }
        var merges: [TemplateMerge] = []
        for pair in pairs {
            var last = pair.to
            // A chain is as long as there are pairs, unless texts went round in a circle.
            var steps = pairs.count
            while texts[last] == nil, let further = next[last], steps > 0 {
                last = further
                steps -= 1
            }
            guard last != pair.from, let text = texts[last], texts[pair.from] == nil else { continue }
            merges.append(TemplateMerge(from: pair.from, to: last, template: text))
        }
        return merges
    }
}

/// The line of a message of several lines that says what it is about.
///
/// A stack trace is as deep as the way was that led to it, so its lines would give one statement many patterns. The first
/// line says what happened; in a Python traceback the last does, behind the frames (docs.python.org, "Errors and
/// Exceptions").
enum Headline {
    private static let traceback: StaticString = "Traceback (most recent call last):"

    static func of(_ message: ByteView) -> ByteView {
        let limit = min(message.count, Normalizer.messageByteCountMax)
        guard let bytes = message.baseAddress, let first = newline(bytes, from: 0, to: limit) else { return message }
        if begins(bytes, limit, with: traceback), let line = lastLine(bytes, message.count) { return line }
        var start = 0
        var end = first
        // A message may begin with empty lines.
        while isBlank(bytes, start, end), end < limit {
            start = end + 1
            end = newline(bytes, from: start, to: limit) ?? limit
        }
        if end > start, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
        return end > start ? ByteView(start: bytes + start, count: end - start) : message
    }

    /// The last line that is neither blank nor indented.
    private static func lastLine(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> ByteView? {
        var end = count
        while end > 0 {
            var start = end
            while start > 0, bytes[start - 1] != UInt8(ascii: "\n") { start -= 1 }
            if start == 0 { return nil }
            if !isBlank(bytes, start, end), bytes[start] > UInt8(ascii: " ") {
                return ByteView(start: bytes + start, count: end - start)
            }
            end = start - 1
        }
        return nil
    }

    private static func isBlank(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
        for index in start..<max(start, end) where bytes[index] > UInt8(ascii: " ") { return false }
        return true
    }

    private static func begins(_ bytes: UnsafePointer<UInt8>, _ count: Int, with text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where bytes[index] != text.utf8Start[index] { return false }
        return true
    }

    /// Eight bytes at a time (Hacker's Delight, 6-1): nearly every message has no line end at all.
    private static func newline(_ bytes: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int? {
        var index = start
        let raw = UnsafeRawPointer(bytes)
        while index + 8 <= end {
            let word = raw.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ 0x0A0A_0A0A_0A0A_0A0A
            if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
            index += 8
        }
        while index < end {
            if bytes[index] == UInt8(ascii: "\n") { return index }
            index += 1
        }
        return nil
    }
}
