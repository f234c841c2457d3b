internal import Glibc

/// The files of the journal as libsystemd has them mapped into this process.
///
/// It maps windows of 8 MiB and keeps dozens of them (`WINDOWS_MIN` in mmap-cache.c), so everything that was read stays
/// resident: catching up with 48 MB of journal left 58 MB. The kernel could take the pages back, but on a machine of one
/// gigabyte whoever looks sees a log daemon that has grown by the size of the journal.
package enum JournalMappings {
    /// Takes the pages of journal files out of this process; they stay in the page cache, and come back when they are read
    /// (madvise(2), `MADV_DONTNEED` on a shared mapping of a file). Costs a look at the process's map, some 0.1 ms.
    package static func release() {
        forEachJournal(in: map()) { start, end in
            guard let address = UnsafeMutableRawPointer(bitPattern: start) else { return }
            _ = madvise(address, Int(end - start), MADV_DONTNEED)
        }
    }

    /// proc_pid_maps(5), of this process; what is past the bound is left alone.
    private static func map() -> [UInt8] {
        let descriptor = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        return [UInt8](unsafeUninitializedCapacity: mapByteCountMax) { buffer, count in
            while count < buffer.count, let base = buffer.baseAddress {
                let got = Glibc.read(descriptor, base + count, buffer.count - count)
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { break }
                count += got
            }
        }
    }

    private static var mapByteCountMax: Int { 256 * 1024 }

    /// The address ranges of the lines whose file is one of a journal: `.journal`, or `.journal~` when it was not closed.
    package static func forEachJournal(in map: [UInt8], _ body: (_ start: UInt, _ end: UInt) -> Void) {
        for line in map.split(separator: UInt8(ascii: "\n")) {
            let name = line.last == UInt8(ascii: "~") ? line.dropLast() : line
            guard name.suffix(suffix.count).elementsEqual(suffix) else { continue }
            let range = line.prefix { $0 != UInt8(ascii: " ") }
            guard let dash = range.firstIndex(of: UInt8(ascii: "-")), let start = number(range[..<dash]),
                let end = number(range[(dash + 1)...]), end > start
            else { continue }
            body(start, end)
        }
    }

    private static let suffix = Array(".journal".utf8)

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt? {
        UInt(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
