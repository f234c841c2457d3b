package import LogModel

/// Whose receipt a stretch of a replayable source has.
package enum StretchReceiver: Sendable, CaseIterable { case store, forward }

/// Keeps the books of the stretches that were sealed and for which some lane has no receipt yet.
///
/// Decides nothing about batches; it is what tells, at the next start, from where to read and which stretches to read again
/// for whom. Pure.
package struct StretchBook {
    /// Stretches open at once: with so many the source is not read. Each takes two cursors, some 300 bytes, in each position.
    package static let openCountMax = 8

    /// Open ones, oldest first, and the newest in any case.
    private var stretches: [SourceStretch]
    private var newestSeal: Int64
    private var through: String?
    private var nextName: StreamID
    private let hasForward: Bool
    private var generator: any RandomNumberGenerator

    /// - Parameters:
    ///   - recovery: what is known of earlier processes.
    ///   - firstName: of the first stretch of all: a name that any later start knows, too.
    ///   - isGuess: whether a newer position may be known to somebody who could not be asked. Then numbers go on far above, and
    ///     the name announced is not used: two stretches must never have one.
    package init(
        _ recovery: StretchRecovery,
        firstName: StreamID,
        hasForward: Bool,
        isGuess: Bool,
        generator: any RandomNumberGenerator
    ) {
        var generator = generator
        self.hasForward = hasForward
        stretches = recovery.stretches
        newestSeal = (recovery.newest?.stretches.last?.seal ?? 0) + (isGuess ? 1 << 20 : 0)
        through = recovery.newest?.stretches.last.flatMap { $0.through.isEmpty ? nil : $0.through }
        // The name that was announced with the newest, so that whoever knows that one knows of this, too.
        let random = StreamID(rawValue: generator.next())
        nextName = isGuess ? random : recovery.newest?.nextName ?? firstName
        self.generator = generator
        if !hasForward { for index in stretches.indices { stretches[index].isForwarded = true } }
        settle()
    }

    /// Behind which entry reading goes on; `nil` for the first time.
    package var cursor: String? { through }

    package var openCount: Int { stretches.count { !$0.isDone } }

    /// Stretches to be read again, oldest first.
    package var lacking: [SourceStretch] { stretches.filter { !$0.isDone } }

    package func lacks(_ stretch: SourceStretch, at receiver: StretchReceiver) -> Bool {
        guard let known = stretches.first(where: { $0.seal == stretch.seal }) else { return false }
        return receiver == .store ? !known.isStored : !known.isForwarded
    }

    /// Names that a sink must remember.
    package var names: [StreamID] { stretches.map(\.name) + [nextName] }

    /// Everything behind the last stretch and up to `cursor` was sealed into one batch. `first` is where the first of all began.
    package mutating func sealed(through cursor: String, first: String? = nil) -> SourceStretch {
        newestSeal += 1
        var stretch = SourceStretch(seal: newestSeal, name: nextName, from: through ?? first, through: cursor)
        stretch.isForwarded = !hasForward
        nextName = StreamID(rawValue: generator.next())
        through = cursor
        stretches.append(stretch)
        settle()
        return stretch
    }

    /// A lane has a receipt.
    package mutating func received(_ seal: Int64, by receiver: StretchReceiver) {
        guard let index = stretches.firstIndex(where: { $0.seal == seal }) else { return }
        switch receiver {
        case .store: stretches[index].isStored = true
        case .forward: stretches[index].isForwarded = true
        }
        settle()
    }

    /// As it stands now, to go with the batch of the stretch `own`; `nil` before the first stretch.
    package func position(own: Int64? = nil) -> SourcePosition? {
        guard !stretches.isEmpty else { return nil }
        return SourcePosition(own: own ?? 0, stretches: stretches, nextName: nextName)
    }

    private mutating func settle() {
        let newest = stretches.last?.seal
        stretches.removeAll { $0.isDone && $0.seal != newest }
    }
}

/// What is known of a replayable source at a start, from every place that may know: the newest position wins, and every
/// receipt anybody knows of counts.
package struct StretchRecovery: Sendable {
    package private(set) var newest: SourcePosition?
    private var stored: Set<Int64> = []
    private var forwarded: Set<Int64> = []

    package init() {}

    /// A position somebody kept; with `receiver`, kept with the batch of its own stretch by that lane.
    package mutating func add(_ position: SourcePosition, keptBy receiver: StretchReceiver?) {
        switch receiver {
        case .store: stored.insert(position.own)
        case .forward: forwarded.insert(position.own)
        case nil: break
        }
        for stretch in position.stretches {
            if stretch.isStored { stored.insert(stretch.seal) }
            if stretch.isForwarded { forwarded.insert(stretch.seal) }
        }
        let known = newest?.stretches.last?.seal ?? 0
        if let seal = position.stretches.last?.seal, seal > known { newest = position }
    }

    /// Those of the newest position, with all receipts known of.
    package var stretches: [SourceStretch] {
        (newest?.stretches ?? []).map { stretch in
            var stretch = stretch
            stretch.isStored = stretch.isStored || stored.contains(stretch.seal)
            stretch.isForwarded = stretch.isForwarded || forwarded.contains(stretch.seal)
            return stretch
        }
    }
}

extension SourceStretch {
    /// Whether every lane has a receipt.
    fileprivate var isDone: Bool { isStored && isForwarded }
}
