internal import CFaultVFS
internal import Foundation

/// What a power cut leaves of the files written through a ``FaultDisk``.
///
/// What was synced is there. Of the rest chance decides, within what a kernel and a card do: a sector of 512 bytes holds some
/// state it had since the last sync, each sector its own, so writes arrive torn and in any order; a file has some size
/// it had since; a name that was made or removed is there or not. Bytes that nobody wrote stay as they were: SQLite takes
/// that for granted of today's disks (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`).
package struct PowerCut {
    /// How much the cut takes of what was not synced.
    package enum Manner: CaseIterable, Sendable {
        /// All of it.
        case nothingUnsynced
        /// Nothing of it, as when the process alone dies.
        case everything
        /// Each write as a whole, by chance.
        case wholeWrites
        /// Each sector of 512 bytes, by chance.
        case sectors
        /// Each page of 4,096 bytes, by chance.
        case pages
        /// In the order of writing up to some moment; the last write is torn.
        case inOrder
    }

    private final class Content {
        var synced: [UInt8] = []
        /// Since the last sync.
        var pending: [Change] = []
    }

    private struct Change {
        var index: Int
        /// `nil`: the file gets the size `offset`.
        var bytes: [UInt8]?
        var offset: Int
    }

    private let disk: FaultDisk
    private var index = 0
    /// Names as programs see them, and as the disk has them for sure.
    private var names: [String: Content] = [:]
    private var syncedNames: [String: Content] = [:]
    /// Names made and removed since the last sync of the directory.
    private var pendingNames: [(index: Int, name: String, content: Content?)] = []

    package init(_ disk: FaultDisk) {
        self.disk = disk
    }

    /// Goes on in the log, to just before its record `index`; cuts are asked for in ascending order.
    package mutating func advance(to end: Int) {
        precondition(end >= index, "cuts are asked for in ascending order")
        while index < end {
            let record = disk.record(index)
            let bytes = Array(UnsafeBufferPointer(start: record.bytes, count: Int(record.byte_count)))
            let name = record.path < 0 ? "" : disk.fileName(record.path)
            switch Int(record.kind) {
            case Int(LOGBOOM_FAULT_BASE):
                let content = Content()
                content.synced = bytes
                names[name] = content
                syncedNames[name] = content
            case Int(LOGBOOM_FAULT_CREATE):
                let content = Content()
                names[name] = content
                pendingNames.append((index, name, content))
            case Int(LOGBOOM_FAULT_WRITE), Int(LOGBOOM_FAULT_TRUNCATE):
                let isWrite = Int(record.kind) == Int(LOGBOOM_FAULT_WRITE)
                names[name]?.pending.append(
                    Change(index: index, bytes: isWrite ? bytes : nil, offset: Int(record.offset))
                )
            case Int(LOGBOOM_FAULT_SYNC):
                guard let content = names[name] else { break }
                for change in content.pending { Self.apply(change, to: &content.synced) }
                content.pending = []
            case Int(LOGBOOM_FAULT_DELETE):
                names[name] = nil
                pendingNames.append((index, name, nil))
            default:
                syncedNames = names
                pendingNames = []
            }
            index += 1
        }
    }

    /// Whether the log so far speaks of this file.
    package func knows(_ name: String) -> Bool {
        names[name] != nil || syncedNames[name] != nil || pendingNames.contains { $0.name == name }
    }

    /// Writes what is left into `directory`, which should be empty.
    package func leave(
        in directory: String,
        _ manner: Manner,
        using random: inout SeededGenerator
    ) throws {
        // One moment for all files, for the manner that goes by time.
        let first = names.values.compactMap { $0.pending.first?.index }.min() ?? index
        let moment = Int.random(in: first...max(first, index), using: &random)
        var left = syncedNames
        for change in pendingNames {
            let survives =
                switch manner {
                case .nothingUnsynced: false
                case .everything: true
                case .inOrder: change.index <= moment
                case .wholeWrites, .sectors, .pages: Bool.random(using: &random)
                }
            if survives { left[change.name] = change.content }
        }
        // In a fixed order, or the seed would not repeat the chances drawn.
        for name in left.keys.sorted() {
            guard let content = left[name] else { continue }
            let bytes = Self.bytes(content, manner, moment: moment, using: &random)
            try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
        }
        // The WAL's index is never synced: it may be there, and hold anything.
        if Bool.random(using: &random), left.keys.contains(where: { $0.hasSuffix("-wal") }) {
            let garbage = (0..<32_768).map { _ in UInt8.random(in: 0...255, using: &random) }
            for name in left.keys where name.hasSuffix("-wal") {
                try Data(garbage).write(to: URL(fileURLWithPath: directory + "/" + name.dropLast(4) + "-shm"))
            }
        }
    }

    private static func bytes(
        _ content: Content,
        _ manner: Manner,
        moment: Int,
        using random: inout SeededGenerator
    ) -> [UInt8] {
        var bytes = content.synced
        let pending = content.pending
        guard !pending.isEmpty else { return bytes }
        switch manner {
        case .nothingUnsynced:
            break
        case .everything:
            for change in pending { apply(change, to: &bytes) }
        case .wholeWrites:
            for change in pending where Bool.random(using: &random) { apply(change, to: &bytes) }
        case .inOrder:
            for change in pending where change.index < moment { apply(change, to: &bytes) }
            if let torn = pending.first(where: { $0.index == moment }), let whole = torn.bytes {
                let count = Int.random(in: 0...whole.count / sectorByteCount, using: &random) * sectorByteCount
                apply(Change(index: moment, bytes: Array(whole.prefix(count)), offset: torn.offset), to: &bytes)
            }
        case .sectors, .pages:
            bytes = mixed(content, unit: manner == .pages ? 4096 : sectorByteCount, using: &random)
        }
        return bytes
    }

    private static let sectorByteCount = 512

    /// Each unit of the file as it was at some moment of its own since the last sync; the size likewise.
    private static func mixed(_ content: Content, unit: Int, using random: inout SeededGenerator) -> [UInt8] {
        var live = content.synced
        var sizes = [live.count]
        for change in content.pending {
            apply(change, to: &live)
            sizes.append(live.count)
        }
        // How many changes each unit has seen.
        let seen = (0...(sizes.max() ?? 0) / unit).map { _ in
            Int.random(in: 0...content.pending.count, using: &random)
        }
        var bytes = content.synced + [UInt8](repeating: 0, count: (sizes.max() ?? 0) - content.synced.count)
        for (number, change) in content.pending.enumerated() {
            let end = change.bytes.map { change.offset + $0.count } ?? bytes.count
            var start = change.offset
            while start < end {
                let stop = min(end, (start / unit + 1) * unit)
                if number < seen[start / unit] {
                    if let written = change.bytes {
                        let piece = written[start - change.offset..<stop - change.offset]
                        bytes.replaceSubrange(start..<stop, with: piece)
                    } else {
                        // Cut off, so zero should the file grow again.
                        bytes.replaceSubrange(start..<stop, with: repeatElement(0, count: stop - start))
                    }
                }
                start = stop
            }
        }
        return Array(bytes.prefix(sizes.randomElement(using: &random) ?? bytes.count))
    }

    private static func apply(_ change: Change, to bytes: inout [UInt8]) {
        guard let written = change.bytes else {
            if bytes.count > change.offset {
                bytes.removeLast(bytes.count - change.offset)
            } else {
                bytes += [UInt8](repeating: 0, count: change.offset - bytes.count)
            }
            return
        }
        let end = change.offset + written.count
        if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
        bytes.replaceSubrange(change.offset..<end, with: written)
    }
}
