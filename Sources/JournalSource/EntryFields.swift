internal import LogModel

/// Of one entry, what becomes part of a record, or decides about it (systemd.journal-fields(7)). One is used for all
/// entries, so that an entry costs no allocation.
struct EntryFields {
    /// A name of its own for each field that is looked at.
    enum Name: Int, CaseIterable {
        case message, priority, identifier, unit, userUnit, host, command, processID, transport, invocation
        case containerName, containerID, containerPartial
    }

    private var bytes: [UInt8] = []
    private var ranges = [Range<Int>](repeating: 0..<0, count: Name.allCases.count)

    /// Forgets the entry before.
    mutating func reset() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 4 * Limits.messageByteCountMax)
        for index in ranges.indices { ranges[index] = 0..<0 }
    }

    /// Copies a field that is looked at, and ignores the others. Of a field that stands twice the first counts.
    mutating func take(_ name: ByteView, _ value: ByteView) {
        guard let field = Self.field(name), ranges[field.rawValue].isEmpty else { return }
        let limit = field == .message ? Limits.messageByteCountMax : Limits.nameByteCountMax
        let start = bytes.count
        bytes.append(contentsOf: ByteView(rebasing: value.prefix(limit)))
        ranges[field.rawValue] = start..<bytes.count
    }

    /// By length and first bytes first: an entry has some 25 fields, most of them none of these.
    private static func field(_ name: ByteView) -> Name? {
        func matches(_ text: StaticString, _ field: Name) -> Name? {
            for index in 0..<name.count where name[index] != text.utf8Start[index] { return nil }
            return field
        }
        switch name.count {
        case 4: return matches("_PID", .processID)
        case 5: return matches("_COMM", .command)
        case 7: return matches("MESSAGE", .message)
        case 8: return matches("PRIORITY", .priority)
        case 9: return matches("_HOSTNAME", .host)
        case 10: return matches("_TRANSPORT", .transport)
        case 13: return matches("_SYSTEMD_UNIT", .unit)
        case 14: return matches("CONTAINER_NAME", .containerName)
        case 17: return matches("SYSLOG_IDENTIFIER", .identifier) ?? matches("CONTAINER_ID_FULL", .containerID)
        case 18: return matches("_SYSTEMD_USER_UNIT", .userUnit)
        case 22: return matches("_SYSTEMD_INVOCATION_ID", .invocation)
        case 25: return matches("CONTAINER_PARTIAL_MESSAGE", .containerPartial)
        default: return nil
        }
    }

    func isEmpty(_ name: Name) -> Bool { ranges[name.rawValue].isEmpty }

    func equals(_ name: Name, _ text: String) -> Bool {
        bytes[ranges[name.rawValue]].elementsEqual(text.utf8)
    }

    func withView<Value>(_ name: Name, _ body: (ByteView) -> Value) -> Value {
        bytes.withUnsafeBufferPointer { body(ByteView(rebasing: $0[ranges[name.rawValue]])) }
    }

    func copy(_ name: Name) -> [UInt8] { Array(bytes[ranges[name.rawValue]]) }

    /// All fields at once, for the record that is made of them.
    func withViews<Value>(_ body: ((Name) -> ByteView) -> Value) -> Value {
        bytes.withUnsafeBufferPointer { bytes in
            body { ByteView(rebasing: bytes[ranges[$0.rawValue]]) }
        }
    }

    // MARK: What they mean

    /// Whether this is a line of ours.
    func isOwn(_ identity: OwnIdentity) -> Bool {
        if equals(.unit, OwnIdentity.unit) { return true }
        if let id = identity.invocationID, !id.isEmpty, equals(.invocation, id) { return true }
        return number(.processID) == Int(identity.processID)
    }

    /// A small decimal number; `nil` for anything else.
    private func number(_ name: Name) -> Int? {
        let digits = bytes[ranges[name.rawValue]]
        guard (1...9).contains(digits.count) else { return nil }
        var value = 0
        for digit in digits {
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value
    }

    var isPartial: Bool { equals(.containerPartial, "true") }

    /// Whether it is a line of a program's output, which knows neither levels nor traces: then both are looked for.
    var isOutput: Bool { equals(.transport, "stdout") || !isEmpty(.containerID) }

    /// As its program stated it. The priority of a program's output is what its unit says for all lines, `info` unless
    /// somebody changed it, so that it says nothing (`SyslogLevel=`, systemd.exec(5)).
    var severity: Severity? {
        guard let priority = number(.priority), !(isOutput && priority == 6) else { return nil }
        return Severity(syslogPriority: priority)
    }

    /// What it is counted under: a container by its name, a service by its unit, all else by the name it gave itself.
    var source: Name {
        if !isEmpty(.containerName) { return .containerName }
        if !isEmpty(.userUnit), withView(.userUnit, Self.isService) { return .userUnit }
        if !isEmpty(.unit), withView(.unit, Self.isService) { return .unit }
        if !isEmpty(.identifier) { return .identifier }
        if !isEmpty(.command) { return .command }
        return .unit
    }

    private static let serviceSuffix: StaticString = ".service"

    private static func isService(_ unit: ByteView) -> Bool {
        let suffix = UnsafeBufferPointer(start: serviceSuffix.utf8Start, count: serviceSuffix.utf8CodeUnitCount)
        guard unit.count > suffix.count, unit.suffix(suffix.count).elementsEqual(suffix) else { return false }
        // The user's own manager is the unit of all that has none.
        return !unit.starts(with: "user@".utf8)
    }

    /// `nginx.service` is shown as `nginx`.
    static func withoutSuffix(_ unit: ByteView) -> ByteView {
        isService(unit) ? ByteView(rebasing: unit.dropLast(serviceSuffix.utf8CodeUnitCount)) : unit
    }

    /// Tells who printed a line, so that the lines of two are not joined.
    var speaker: UInt64 {
        withViews { view in
            let id = isEmpty(.containerID) ? view(.processID) : view(.containerID)
            return XXH64.hash(view(source), seed: XXH64.hash(id))
        }
    }
}
