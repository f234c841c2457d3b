/// The closed word lists the rules consult: units, months, nouns that a number names, and so on.
///
/// All are words of the trade at large (calendars, SI units, file types, protocol names), none was taken from a log.
/// Owns one open-addressing table of 64-bit word hashes; a look-up costs about three instructions a letter. Words are
/// compared without regard to case; two different words of at most `wordByteCountMax` bytes with one 64-bit hash would
/// be taken for each other, which could only choose another placeholder.
struct Vocabulary {
    struct Kinds: OptionSet {
        let rawValue: UInt32

        /// A word after which an integer names a thing rather than counts: `user 123`.
        static let noun = Kinds(rawValue: 1 << 0)
        /// A unit of time that may stand after a blank: `30 ms`.
        static let timeUnit = Kinds(rawValue: 1 << 1)
        /// A unit of time so short that it is one only when glued to the number: `5m`.
        static let gluedTimeUnit = Kinds(rawValue: 1 << 2)
        static let sizeUnit = Kinds(rawValue: 1 << 3)
        static let gluedSizeUnit = Kinds(rawValue: 1 << 4)
        /// A unit of measure; it stays literal after the number: `21.5hPa`.
        static let measure = Kinds(rawValue: 1 << 5)
        static let month = Kinds(rawValue: 1 << 6)
        static let weekday = Kinds(rawValue: 1 << 7)
        static let zone = Kinds(rawValue: 1 << 8)
        /// A name whose digits belong to it: `sha256`.
        static let technology = Kinds(rawValue: 1 << 9)
        static let fileExtension = Kinds(rawValue: 1 << 10)
        /// The type of a systemd unit: `getty@tty1.service` is no e-mail address.
        static let unitType = Kinds(rawValue: 1 << 11)
        /// A key or word that announces a moment: `ts=1700000000`.
        static let timeKey = Kinds(rawValue: 1 << 12)
        /// A key whose quoted value is the message itself.
        static let textKey = Kinds(rawValue: 1 << 13)
        /// A word after which a quoted string is a name: `relation "orders"`.
        static let quotedNoun = Kinds(rawValue: 1 << 14)
        static let ordinal = Kinds(rawValue: 1 << 15)
        static let topLevelDomain = Kinds(rawValue: 1 << 16)
    }

    static let wordByteCountMax = 20
    /// A power of two, at least twice the words in the lists below (about 450), so probes stay short.
    private static let slotCount = 2048

    private let hashes: UnsafeMutablePointer<UInt64>
    private let kinds: UnsafeMutablePointer<Kinds>
    /// For each pair of a first and a last letter, a bit for each length that a word of the lists has: turns away most
    /// words without hashing them. 4 KiB.
    private let lengths: UnsafeMutablePointer<UInt32>
    /// A bit for each hash of a word with digits, all of them taken for 0.
    private let shapes: UnsafeMutablePointer<UInt64>
    private static let shapeBitCount = 1 << 13

    init() {
        hashes = .allocate(capacity: Self.slotCount)
        hashes.initialize(repeating: 0, count: Self.slotCount)
        kinds = .allocate(capacity: Self.slotCount)
        kinds.initialize(repeating: [], count: Self.slotCount)
        lengths = .allocate(capacity: 1 << 10)
        lengths.initialize(repeating: 0, count: 1 << 10)
        shapes = .allocate(capacity: Self.shapeBitCount / 64)
        shapes.initialize(repeating: 0, count: Self.shapeBitCount / 64)
        for (list, listKinds) in Self.lists {
            insert(list, as: listKinds)
        }
    }

    func deallocate() {
        hashes.deallocate()
        kinds.deallocate()
        lengths.deallocate()
        shapes.deallocate()
    }

    /// Five bits of a letter are the same in both cases.
    @inline(__always)
    private static func ends(_ word: UnsafePointer<UInt8>, _ count: Int) -> Int {
        Int(word[0] & 31) << 5 | Int(word[count - 1] & 31)
    }

    /// The kinds of the word of `count` bytes; empty for a word in no list.
    @inline(__always)
    func kinds(of word: UnsafePointer<UInt8>, count: Int) -> Kinds {
        guard count > 0, count <= Self.wordByteCountMax,
            lengths[Self.ends(word, count)] >> UInt32(truncatingIfNeeded: count) & 1 != 0
        else { return [] }
        return knownKinds(of: word, count: count)
    }

    private func knownKinds(of word: UnsafePointer<UInt8>, count: Int) -> Kinds {
        let hash = Self.hash(word, count)
        var slot = Int(truncatingIfNeeded: hash >> 32) & (Self.slotCount - 1)
        while hashes[slot] != 0 {
            if hashes[slot] == hash { return kinds[slot] }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return []
    }

    /// Whether one of the words has digits and might, but for their values, be the word of `count` bytes: its kinds depend
    /// on which digits they are. May say so of a few others.
    func knowsShape(of word: UnsafePointer<UInt8>, count: Int) -> Bool {
        guard count > 0, count <= Self.wordByteCountMax else { return false }
        let (bit, hasDigit) = Self.shape(word, count)
        return hasDigit && shapes[bit >> 6] >> UInt64(bit & 63) & 1 != 0
    }

    /// FNV-1a as below, with every digit as 0.
    private static func shape(_ word: UnsafePointer<UInt8>, _ count: Int) -> (bit: Int, hasDigit: Bool) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var hasDigit = false
        for index in 0..<count {
            let isDigit = word[index] &- UInt8(ascii: "0") < 10
            if isDigit { hasDigit = true }
            hash = (hash ^ UInt64(isDigit ? UInt8(ascii: "0") : word[index] | 0x20)) &* 0x0000_0100_0000_01b3
        }
        return (Int(truncatingIfNeeded: hash >> 32) & (shapeBitCount - 1), hasDigit)
    }

    /// FNV-1a, 64 bits, over the bytes with the case bit set.
    private static func hash(_ word: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in 0..<count {
            // Wrapping is the definition of the hash.
            hash = (hash ^ UInt64(word[index] | 0x20)) &* 0x0000_0100_0000_01b3
        }
        return hash | 1
    }

    private func insert(_ list: StaticString, as listKinds: Kinds) {
        let bytes = list.utf8Start
        var start = 0
        for index in 0...list.utf8CodeUnitCount
        where index == list.utf8CodeUnitCount || bytes[index] == UInt8(ascii: " ") {
            if index > start {
                let hash = Self.hash(bytes + start, index - start)
                var slot = Int(truncatingIfNeeded: hash >> 32) & (Self.slotCount - 1)
                while hashes[slot] != 0, hashes[slot] != hash { slot = (slot + 1) & (Self.slotCount - 1) }
                hashes[slot] = hash
                kinds[slot].formUnion(listKinds)
                lengths[Self.ends(bytes + start, index - start)] |= 1 << UInt32(index - start)
                let (bit, hasDigit) = Self.shape(bytes + start, index - start)
                if hasDigit { shapes[bit >> 6] |= 1 << UInt64(bit & 63) }
            }
            start = index + 1
        }
    }

    private static let lists: [(StaticString, Kinds)] = [
        // Things that carry a number as their name. Words that usually come with an amount (size, count, line,
        // length, port, code, status) are left out on purpose: those numbers are <NUM>.
        (
            """
            id uid gid pid tid euid egid ppid sid cid rid oid jid xid vid guid uuid user session request req order \
            job thread task process proc client customer account acct device node worker connection conn \
            transaction txn tx message msg packet event ticket invoice block container child slot shard replica \
            instance item product record member tenant group room sensor station vehicle meter lane run build \
            issue case ref reference serial token key handle owner player parcel shipment bus channel cpu scene zone
            """, .noun
        ),
        (
            """
            user role database relation table column index topic client device name constraint schema username login \
            sensor friend node scene zone room area entity automation
            """, .quotedNoun
        ),
        (
            """
            s sec secs second seconds ms msec msecs millis millisecond milliseconds us usec usecs micros microsecond \
            microseconds ns nsec nsecs nanos nanosecond nanoseconds min mins minute minutes hr hrs hour hours day \
            days week weeks month months year years
            """, .timeUnit
        ),
        ("m h d w", .gluedTimeUnit),
        ("kb mb gb tb pb kib mib gib tib pib b", .sizeUnit),
        ("k g t", .gluedSizeUnit),
        (
            """
            v mv kv w mw kw wh kwh mah hz khz mhz ghz db dbm pa hpa kpa mbar bar lx lux ppm ppb rpm fps px mm cm km \
            kg mg ml bps kbps mbps gbps bit kbit mbit gbit bits bytes x times
            """, .measure
        ),
        (
            """
            jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september \
            october november december sept
            """, .month
        ),
        ("mon tue wed thu fri sat sun monday tuesday wednesday thursday friday saturday sunday", .weekday),
        ("utc gmt cet cest bst ist est edt cst cdt mst mdt pst pdt eet eest wet west msk jst", .zone),
        // Standards, architectures and programs with a digit in their name.
        (
            """
            utf8 utf-8 utf16 utf-16 utf32 iso8601 iso-8601 ipv4 ipv6 ip4 ip6 inet4 inet6 icmpv6 dhcpv4 dhcpv6 dhcp6 \
            ssh1 ssh2 sslv2 sslv3 tlsv1 http2 http3 h2 h2c h264 h265 quic1 sha1 sha-1 sha2 sha224 sha256 sha-256 \
            sha384 sha512 sha-512 sha3 md4 md5 crc16 crc32 crc32c xxh3 xxh64 base32 base64 base85 aes128 aes256 \
            ed25519 curve25519 x25519 poly1305 chacha20 rc4 x509 pkcs1 pkcs8 pkcs11 pkcs12 oauth1 oauth2 x86 x64 \
            x86_64 x86-64 i386 i486 i586 i686 amd64 arm64 armv6 armv6l armv7 armv7l armv8 aarch64 riscv64 mips64 \
            ppc64 ppc64le win32 win64 wow64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 \
            ext2 ext3 ext4 fat12 fat16 fat32 nfs3 nfs4 nfsv3 nfsv4 smb2 smb3 smbv1 btrfs2 raid0 raid1 raid5 raid6 \
            usb1 usb2 usb3 i2c i2s ps2 rs232 rs-232 rs422 rs485 rs-485 mp3 mp4 lz4 bz2 bzip2 7z gzip2 zlib1 s3 ec2 \
            k8s k3s log4j slf4j python2 python3 perl5 php5 php7 php8 lua5 sqlite3 pop3 imap4 snmpv1 snmpv2 snmpv2c \
            snmpv3 ntpv3 ntpv4 smtp2 mqtt3 mqtt5 v4l2 i18n l10n a11y p2p b2b b2c e2e 2fa 3g 4g 5g lte4 x11 ascii7 \
            latin1 cp1252 cp437 koi8 gb2312 gb18030 big5 js6 es5 es6 es2015 d2d h323 g711 k6 p12 pkcs7 web3 w3c \
            ieee754 rfc3339 rfc5424 iso-8859-1 iso8859-1 zigbee2mqtt z2m influxdb2 grpc2 db2 oid4 ps4 ps5 nl80211 \
            cfg80211 mac80211 ieee80211 802.11 802.1x v4 v6 l1 l2 l3 l4 e820
            """, .technology
        ),
        (
            """
            c h cc cpp cxx hpp hh m mm py pyc js mjs cjs ts tsx jsx go rs swift java kt scala rb php pl pm lua sql md \
            html htm css ini cfg conf toml json yaml yml xml csv txt log out err bak tmp sh bash zsh ps1 bat exe dll \
            so ko o jar war zip gz xz bz2 zst tar tgz deb rpm iso img bin hex elf pdf png jpg jpeg gif svg mp3 mp4 \
            wav avi mkv db sqlite wal lock sock pem crt key der cer dtb dtbo
            """, .fileExtension
        ),
        ("service socket timer mount automount target slice device path scope swap", .unitType),
        (
            """
            time timestamp ts date datetime epoch since until expires expiry exp iat nbf mtime ctime atime start \
            started finished end ended created updated modified deadline when
            """, .timeKey
        ),
        ("msg message error err reason event text detail details description title cause exception", .textKey),
        ("st nd rd th", .ordinal),
        // The general ones of the IANA root zone in daily use, and what home networks call themselves.
        (
            """
            com net org edu gov mil int info biz io dev app cloud eu arpa local localdomain lan home internal \
            localnet intranet corp
            """, .topLevelDomain
        ),
    ]
}
