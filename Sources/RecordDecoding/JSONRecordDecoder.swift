internal import JSONBytes
internal import LogModel

/// Bounds of one record as it enters. Their sum bounds the decoder's scratch memory; a batch may bound more tightly.
package enum RecordLimits {
    /// Messages are cut to this. Longer ones are dumps, and the pattern of a dump is in its beginning.
    package static let messageByteCountMax = Limits.messageByteCountMax
    /// Attributes of one record; more are left out.
    package static let attributeCountMax = 32
    package static let attributeKeyByteCountMax = 128
    package static let attributeValueByteCountMax = 1 << 10
    /// Source, host, tenant and dashboard, each.
    package static let nameByteCountMax = 256
    /// Nested objects are flattened so deep; what is deeper stays JSON text.
    package static let attributeDepthMax = 4
}

/// Reads one JSON object as one record. Owns the scratch memory that unescaped text lives in until the next record:
/// about 105 KiB of addresses, of which only touched pages cost memory. No allocation a record.
///
/// Use: ``begin()``, ``readObject(_:isTop:)``, ``finish(_:)``, then ``record`` until the next ``begin()``.
struct JSONRecordDecoder: ~Copyable {
    /// A key and its value, packed: there is one for most members of most records. Texts have less than 4 GiB.
    private struct Slot {
        private var keyStart: UnsafePointer<UInt8>?
        private var valueStart: UnsafePointer<UInt8>?
        private var keyByteCount: UInt32
        private var valueByteCount: UInt32
        private var valueKind: JSONKind
        private var keyHasEscapes: Bool
        private var valueHasEscapes: Bool
        let rank: UInt8

        @inline(__always)
        init(key: JSONItem, value: JSONItem, rank: UInt8) {
            keyStart = key.bytes.baseAddress
            valueStart = value.bytes.baseAddress
            keyByteCount = UInt32(truncatingIfNeeded: key.bytes.count)
            valueByteCount = UInt32(truncatingIfNeeded: value.bytes.count)
            valueKind = value.kind
            keyHasEscapes = key.hasEscapes
            valueHasEscapes = value.hasEscapes
            self.rank = rank
        }

        @inline(__always)
        var key: JSONItem {
            let bytes = ByteView(start: keyStart, count: Int(keyByteCount))
            return JSONItem(kind: .string, hasEscapes: keyHasEscapes, bytes: bytes)
        }

        @inline(__always)
        var value: JSONItem {
            let bytes = ByteView(start: valueStart, count: Int(valueByteCount))
            return JSONItem(kind: valueKind, hasEscapes: valueHasEscapes, bytes: bytes)
        }
    }

    private let aliases = FieldAliases()
    private let slots: UnsafeMutablePointer<Slot>
    private let attributes: UnsafeMutablePointer<AttributeView>
    private let scratch: UnsafeMutablePointer<UInt8>
    private let path: UnsafeMutablePointer<UInt8>
    /// Fields that have a value, a bit each.
    private var filled: UInt16 = 0
    /// Of them, those whose value is still on the tape only: where is in ``places``, and nothing in ``slots``.
    private var noted: UInt16 = 0
    private let places: UnsafeMutablePointer<UInt16>
    private var attributeCount = 0
    private var scratchUsed = 0
    private var pathLength = 0
    private var isNodeRed = false

    /// Of records that name none; the owner's, and not forgotten by ``begin()``.
    var tenant = ByteView(start: nil, count: 0)

    /// The record read last; its views end with the body, or with the next ``begin()``.
    private(set) var record = LogRecord(message: ByteView(start: nil, count: 0))
    /// Whether the object read last is `{"logs": […]}`, so that its records are on the ``tape``.
    private(set) var hasLogs = false
    /// The elements of the array that was checked last.
    private(set) var tape = ElementTape()
    /// Whether the message was cut to its limit.
    private(set) var wasCut = false
    /// Whether attributes were left out.
    private(set) var attributesWereDropped = false

    // One of each bounded text, and 1 KiB for words and numbers.
    private static let scratchByteCount =
        RecordLimits.messageByteCountMax + 4 * RecordLimits.nameByteCountMax + 1024
        + RecordLimits.attributeCountMax
        * (RecordLimits.attributeKeyByteCountMax + RecordLimits.attributeValueByteCountMax)

    init() {
        precondition(ElementTape.entryCountMax <= Int(UInt16.max), "a place on the tape takes 16 bits")
        slots = .allocate(capacity: RecordField.slotCount)
        places = .allocate(capacity: RecordField.slotCount)
        attributes = .allocate(capacity: RecordLimits.attributeCountMax)
        scratch = .allocate(capacity: Self.scratchByteCount)
        path = .allocate(capacity: RecordLimits.attributeKeyByteCountMax)
    }

    deinit {
        // All of them hold plain values, so there is nothing to deinitialise.
        slots.deallocate()
        places.deallocate()
        attributes.deallocate()
        scratch.deallocate()
        path.deallocate()
    }

    /// Forgets the last record.
    mutating func begin() {
        filled = 0
        noted = 0
        attributeCount = 0
        scratchUsed = 0
        pathLength = 0
        isNodeRed = false
        hasLogs = false
        wasCut = false
        attributesWereDropped = false
    }

    /// Reads an object to its end, sorting its members into fields and attributes.
    ///
    /// - Throws: where the object is not JSON; what was read until then must not be used.
    mutating func readObject(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        try cursor.enterObject()
        while let key = try cursor.nextKey() {
            sort(aliases.field(of: key), key: key, value: try cursor.value(), isPayload: false)
        }
    }

    /// The same at the top of a body, where an array `logs` is a batch: its records go to the ``tape``.
    mutating func readTopObject(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        try cursor.enterObject()
        while let key = try cursor.nextKey() {
            let alias = aliases.field(of: key)
            if let alias, alias.field == .logs, cursor.peek() == .array {
                try noteArray(&cursor)
                hasLogs = true
            } else {
                sort(alias, key: key, value: try cursor.value(), isPayload: false)
            }
        }
    }

    /// Reads an array of records to its end and notes them on the ``tape``.
    ///
    /// - Throws: where the array is not JSON; the tape must not be used then.
    mutating func noteArray(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        try tape.note(&cursor, aliases)
    }

    /// Sorts the members of an object on the tape, which begins the record.
    ///
    /// - Parameter place: of the object's entry.
    /// - Returns: the place behind its last member.
    mutating func takeObject(at place: Int) -> Int {
        let end = place &+ 1 &+ tape[place].memberCount
        var place = place &+ 1
        // What nearly every member of nearly every record is: the first value of a plain field, which is the field's.
        var noted: UInt16 = 0
        while place < end {
            let entry = tape[place]
            let bit: UInt16 = 1 &<< UInt16(entry.fieldNumber)
            if Self.plainFields & ~noted & bit != 0, tape.saysSomething(entry), filled & bit == 0 {
                noted |= bit
                places[Int(entry.fieldNumber)] = UInt16(truncatingIfNeeded: place)
            } else {
                take(noted)
                noted = 0
                sort(entry.alias, key: tape.key(entry), value: tape.value(entry), isPayload: false)
            }
            place &+= 1
        }
        take(noted)
        return end
    }

    /// Fields that ``sort(_:key:value:isPayload:)`` keeps as they are, a bit each.
    private static let plainFields: UInt16 = (1 << (UInt16(RecordField.latency.rawValue) + 1)) - 1

    /// The values of these fields are on the tape, where ``places`` says.
    @inline(__always)
    private mutating func take(_ fields: UInt16) {
        filled |= fields
        noted |= fields
    }

    /// Makes ``record`` from what was read.
    ///
    /// - Returns: why it is no record, or `nil` when it is one.
    mutating func finish(_ rules: RecordRules) -> StaticString? {
        record = LogRecord(message: ByteView(start: nil, count: 0))
        guard takeMessage() else { return "message is missing" }
        if let value = value(.severity) {
            if let severity = Severity(word: word(value)) {
                record.severity = severity
            } else {
                addAttribute(key: Self.levelKey, value: value)
            }
        }
        if let value = value(.timestamp) {
            if let timestamp = timestamp(value) {
                record.timestamp = timestamp
            } else {
                addAttribute(key: key(.timestamp), value: value)
            }
        }
        if let value = value(.latency) {
            if let latency = number(value) {
                record.latencyMilliseconds = latency
            } else {
                addAttribute(key: key(.latency), value: value)
            }
        }
        if let value = value(.source) { record.source = name(.source, value) }
        if let value = value(.host) { record.host = name(.host, value) }
        record.tenant = tenant
        if let value = value(.tenant) { record.tenant = name(.tenant, value) }
        if let value = value(.dashboard) { record.dashboard = name(.dashboard, value) }
        record.attributes = UnsafeBufferPointer(start: attributes, count: attributeCount)
        if rules.requiresTenant, Self.isBlank(record.tenant) { return "org is missing" }
        return nil
    }

    /// Makes ``record`` from a bare text: an element of an array, or a line.
    mutating func finish(text: JSONItem, _ rules: RecordRules) -> StaticString? {
        record = LogRecord(message: ByteView(start: nil, count: 0))
        guard setMessage(text) else { return "message is missing" }
        record.tenant = tenant
        return rules.requiresTenant && tenant.isEmpty ? "org is missing" : nil
    }

    // MARK: Sorting

    private mutating func sort(
        _ alias: (field: RecordField, rank: UInt8)?,
        key: JSONItem,
        value: JSONItem,
        isPayload: Bool
    ) {
        guard let (field, rank) = alias else {
            addAttribute(key: key, value: value)
            return
        }
        switch field {
        case .message, .severity, .source, .host, .tenant, .dashboard, .timestamp, .latency:
            keep(field, rank, key: key, value: value)
        case .error, .payload:
            if isPayload {
                addAttribute(key: key, value: value)
            } else {
                keep(field, rank, key: key, value: value)
            }
        case .attributes:
            switch value.kind {
            case .object: addMembers(of: value, depth: 1)
            case .null: break
            case .array, .string, .number, .bool: addAttribute(key: key, value: value)
            }
        case .logs:
            addAttribute(key: key, value: value)
        case .nodeRedMessageID:
            isNodeRed = true
            addAttribute(key: key, value: value)
        }
    }

    /// Keeps a field's value until the object ends: the same name again replaces it, another name of better rank turns it
    /// into an attribute. `null` and blank text say nothing.
    mutating func keep(_ field: RecordField, _ rank: UInt8, key: JSONItem, value: JSONItem) {
        if value.kind == .null || (value.kind == .string && !value.hasEscapes && Self.isBlank(value.bytes)) { return }
        let index = Int(field.rawValue)
        let bit: UInt16 = 1 << UInt16(index)
        let new = Slot(key: key, value: value, rank: rank)
        guard filled & bit != 0 else {
            filled |= bit
            (slots + index).initialize(to: new)
            return
        }
        let old = slot(field)
        if rank < old.rank {
            addAttribute(key: old.key, value: old.value)
        }
        if rank <= old.rank {
            noted &= ~bit
            (slots + index).initialize(to: new)
        } else {
            addAttribute(key: key, value: value)
        }
    }

    /// What a field has; `nil` when it has nothing.
    @inline(__always)
    private func value(_ field: RecordField) -> JSONItem? {
        let bit: UInt16 = 1 << UInt16(field.rawValue)
        guard filled & bit != 0 else { return nil }
        let index = Int(field.rawValue)
        return noted & bit != 0 ? tape.value(tape[Int(places[index])]) : slots[index].value
    }

    /// By which name it came; of a field that has something.
    private func key(_ field: RecordField) -> JSONItem {
        slot(field).key
    }

    private func slot(_ field: RecordField) -> Slot {
        let index = Int(field.rawValue)
        guard noted & (1 << UInt16(index)) != 0 else { return slots[index] }
        let entry = tape[Int(places[index])]
        return Slot(key: tape.key(entry), value: tape.value(entry), rank: entry.rank)
    }

    // MARK: Message

    /// Fields that are the message when there is no other, a bit each.
    private static let fallbackFields: UInt16 =
        1 << UInt16(RecordField.error.rawValue) | 1 << UInt16(RecordField.payload.rawValue)

    private mutating func takeMessage() -> Bool {
        var found = false
        if let message = value(.message) { found = setMessage(message) }
        // Both are rare.
        guard filled & Self.fallbackFields != 0 else { return found }
        let error = value(.error)
        let payload = value(.payload)
        var errorIsMessage = false
        var payloadIsMessage = false
        if !found, let error {
            errorIsMessage = takeError(error)
            found = errorIsMessage
        }
        if !found, let payload {
            payloadIsMessage = takePayload(payload)
            found = payloadIsMessage
        }
        guard found else { return false }
        if let error, !errorIsMessage { addAttribute(key: key(.error), value: error) }
        if let payload, !payloadIsMessage { addAttribute(key: key(.payload), value: payload) }
        return true
    }

    /// A Catch node's `error`: an object with a message, or a text.
    private mutating func takeError(_ error: JSONItem) -> Bool {
        switch error.kind {
        case .object:
            var message: JSONItem?
            var source: JSONItem?
            Self.forEachMember(of: error) { key, value in
                if key.bytes.elementsEqual(Self.messageKey.bytes) {
                    message = value
                } else if key.bytes.elementsEqual(Self.sourceKey.bytes) {
                    source = value
                }
            }
            guard let message, message.kind != .null, setMessage(message) else { return false }
            isNodeRed = isNodeRed || source?.kind == .object
            if let source, source.kind == .object {
                Self.forEachMember(of: source) { key, value in
                    guard key.bytes.elementsEqual(Self.typeKey.bytes), value.kind == .string else { return }
                    record.source = text(value, byteCountMax: RecordLimits.nameByteCountMax).view
                }
            }
            pushPath(Self.errorKey)
            addMembers(of: error, depth: 2, except: Self.messageKey.bytes)
            pathLength = 0
        case .string:
            guard setMessage(error) else { return false }
        case .array, .number, .bool, .null:
            return false
        }
        if isNodeRed, record.source.isEmpty { record.source = Self.nodeRed }
        record.severity = .error
        return true
    }

    /// A Node-RED `payload`: a text, an object that is a record itself, or anything else as its JSON text.
    private mutating func takePayload(_ payload: JSONItem) -> Bool {
        guard payload.kind == .object else { return payload.kind != .null && setMessage(payload) }
        var holdsMessage = false
        Self.forEachMember(of: payload) { key, value in
            if let alias = aliases.field(of: key), alias.field == .message, value.kind != .null { holdsMessage = true }
        }
        guard holdsMessage else { return setMessage(payload) }
        Self.forEachMember(of: payload) { key, value in
            sort(aliases.field(of: key), key: key, value: value, isPayload: true)
        }
        if let message = value(.message), setMessage(message) { return true }
        return false
    }

    /// Whether `item` held any text; sets the message and notes a cut.
    private mutating func setMessage(_ item: JSONItem) -> Bool {
        let message = text(item, byteCountMax: RecordLimits.messageByteCountMax)
        guard !Self.isBlank(message.view) else { return false }
        record.message = message.view
        wasCut = wasCut || message.wasCut
        return true
    }

    // MARK: Values

    /// The content of a string, or the text of anything else, cut to `byteCountMax`.
    private mutating func text(_ item: JSONItem, byteCountMax: Int) -> (view: ByteView, wasCut: Bool) {
        guard item.hasEscapes else {
            let view = JSONText.cut(item.bytes, byteCountMax: byteCountMax)
            return (view, view.count < item.bytes.count)
        }
        let room = min(byteCountMax, Self.scratchByteCount - scratchUsed)
        let target = UnsafeMutableBufferPointer(start: scratch + scratchUsed, count: room)
        let (count, isComplete) = JSONText.unescape(item.bytes, into: target)
        scratchUsed += count
        return (ByteView(start: target.baseAddress, count: count), !isComplete)
    }

    /// A short word or number; empty for a container.
    private mutating func word(_ item: JSONItem) -> ByteView {
        switch item.kind {
        case .string, .number, .bool: text(item, byteCountMax: 64).view
        case .object, .array, .null: ByteView(start: nil, count: 0)
        }
    }

    private mutating func number(_ item: JSONItem) -> Double? {
        switch item.kind {
        case .string, .number: JSONText.double(word(item))
        case .object, .array, .bool, .null: nil
        }
    }

    private mutating func timestamp(_ item: JSONItem) -> Timestamp? {
        switch item.kind {
        case .string:
            let text = word(item)
            return Timestamp(rfc3339: text) ?? JSONText.double(text).flatMap { Timestamp(epoch: $0) }
        case .number:
            return JSONText.double(item.bytes).flatMap { Timestamp(epoch: $0) }
        case .object, .array, .bool, .null:
            return nil
        }
    }

    /// A name field; a container is no name, so it becomes attributes.
    private mutating func name(_ field: RecordField, _ value: JSONItem) -> ByteView {
        switch value.kind {
        case .string, .number, .bool:
            return text(value, byteCountMax: RecordLimits.nameByteCountMax).view
        case .object, .array, .null:
            addAttribute(key: key(field), value: value)
            return ByteView(start: nil, count: 0)
        }
    }

    // MARK: Attributes

    /// Adds one attribute under the current path, or the members of an object below it.
    mutating func addAttribute(key: JSONItem, value: JSONItem, depth: Int = 1) {
        guard attributeCount < RecordLimits.attributeCountMax else {
            attributesWereDropped = true
            return
        }
        if value.kind == .object, depth < RecordLimits.attributeDepthMax, value.bytes.count > 2 {
            let length = pathLength
            pushPath(key)
            addMembers(of: value, depth: depth + 1)
            pathLength = length
            return
        }
        let name: ByteView
        if pathLength == 0 {
            name = text(key, byteCountMax: RecordLimits.attributeKeyByteCountMax).view
        } else {
            let length = pathLength
            pushPath(key)
            (scratch + scratchUsed).update(from: path, count: pathLength)
            name = ByteView(start: scratch + scratchUsed, count: pathLength)
            scratchUsed += pathLength
            pathLength = length
        }
        let content = text(value, byteCountMax: RecordLimits.attributeValueByteCountMax).view
        (attributes + attributeCount).initialize(to: AttributeView(key: name, value: content))
        attributeCount += 1
    }

    private mutating func addMembers(of object: JSONItem, depth: Int, except left: ByteView? = nil) {
        Self.forEachMember(of: object) { key, value in
            if let left, key.bytes.elementsEqual(left) { return }
            addAttribute(key: key, value: value, depth: depth)
        }
    }

    /// Appends a dot and `key` to the path, cut at the limit of an attribute's key.
    private mutating func pushPath(_ key: JSONItem) {
        let limit = RecordLimits.attributeKeyByteCountMax
        if pathLength > 0, pathLength < limit {
            path[pathLength] = 0x2E
            pathLength += 1
        }
        let room = UnsafeMutableBufferPointer(start: path + pathLength, count: limit - pathLength)
        if key.hasEscapes {
            pathLength += JSONText.unescape(key.bytes, into: room).count
        } else if let base = key.bytes.baseAddress {
            let count = JSONText.cut(key.bytes, byteCountMax: room.count).count
            (path + pathLength).update(from: base, count: count)
            pathLength += count
        }
    }

    /// The object came out of a cursor, so it is JSON and the reading cannot end early.
    private static func forEachMember(of object: JSONItem, _ body: (_ key: JSONItem, _ value: JSONItem) -> Void) {
        var cursor = JSONCursor(object.bytes)
        do throws(JSONSyntaxError) {
            try cursor.enterObject()
            while let key = try cursor.nextKey() {
                body(key, try cursor.value())
            }
        } catch {
            assertionFailure("an item of a cursor is not JSON: \(error)")
        }
    }

    @inline(__always)
    static func isBlank(_ text: ByteView) -> Bool {
        for byte in text where byte > 0x20 { return false }
        return true
    }

    private static var messageKey: JSONItem { literal("message") }
    private static var sourceKey: JSONItem { literal("source") }
    private static var typeKey: JSONItem { literal("type") }
    private static var errorKey: JSONItem { literal("error") }
    private static var levelKey: JSONItem { literal("level") }
    private static var nodeRed: ByteView { literal("node-red").bytes }

    private static func literal(_ text: StaticString) -> JSONItem {
        JSONItem(
            kind: .string,
            hasEscapes: false,
            bytes: ByteView(start: text.utf8Start, count: text.utf8CodeUnitCount)
        )
    }
}
