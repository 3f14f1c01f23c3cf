//! The matrix product behind convolutions and fully connected layers: rows of input bytes times packed weights.
//!
//! Not an operation of its own: `conv` and `fully_connected` say how a row of the left matrix is gathered.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod product;
pub(crate) mod scalar;
pub(crate) mod tiles;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// The kernels of an operation that is a matrix product: for each level one for each size of claims, for AMX also one for
/// each way its tiles can lie. Those that differ in their claims share packed weights, under the usual one's name.
macro_rules! products {
    ($operation:literal, $scalar:path, $build:path) => {
        &[
            $crate::host::kernels::Kernel {
                name: concat!($operation, "/scalar"),
                operation: $operation,
                level: $crate::host::CpuLevel::Scalar,
                build: $scalar,
            },
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avx2", "", Avx2, &$crate::host::kernels::gemm::x86::AVX2, CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avx2", ":small-claims", Avx2, &$crate::host::kernels::gemm::x86::AVX2, SMALL_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avx2", ":large-claims", Avx2, &$crate::host::kernels::gemm::x86::AVX2, LARGE_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avxvnni", "", AvxVnni, &$crate::host::kernels::gemm::x86::AVXVNNI, CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avxvnni", ":small-claims", AvxVnni, &$crate::host::kernels::gemm::x86::AVXVNNI, SMALL_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avxvnni", ":large-claims", AvxVnni, &$crate::host::kernels::gemm::x86::AVXVNNI, LARGE_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avx512vnni", "", Avx512Vnni, &$crate::host::kernels::gemm::x86::AVX512VNNI, CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avx512vnni", ":small-claims", Avx512Vnni, &$crate::host::kernels::gemm::x86::AVX512VNNI, SMALL_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "avx512vnni", ":large-claims", Avx512Vnni, &$crate::host::kernels::gemm::x86::AVX512VNNI, LARGE_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "amx", "", Amx, &$crate::host::kernels::gemm::x86::AMX, CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "amx", ":small-claims", Amx, &$crate::host::kernels::gemm::x86::AMX, SMALL_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "amx", ":large-claims", Amx, &$crate::host::kernels::gemm::x86::AMX, LARGE_CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "amx:1x4", "", Amx, &$crate::host::kernels::gemm::x86::AMX_1X4, CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "amx:2x2", "", Amx, &$crate::host::kernels::gemm::x86::AMX_2X2, CLAIM),
            #[cfg(target_arch = "x86_64")]
            products!(@variant $operation, $build, "amx:4x1", "", Amx, &$crate::host::kernels::gemm::x86::AMX_4X1, CLAIM),
            #[cfg(target_arch = "aarch64")]
            products!(@variant $operation, $build, "neon", "", Neon, $crate::host::kernels::gemm::neon::tiles(), CLAIM),
            #[cfg(target_arch = "aarch64")]
            products!(@variant $operation, $build, "neon", ":small-claims", Neon, $crate::host::kernels::gemm::neon::tiles(), SMALL_CLAIM),
            #[cfg(target_arch = "aarch64")]
            products!(@variant $operation, $build, "neon", ":large-claims", Neon, $crate::host::kernels::gemm::neon::tiles(), LARGE_CLAIM),
        ]
    };
    (@variant $operation:literal, $build:path, $level:literal, $claims:literal, $name:ident, $tiles:expr, $claim:ident) => {
        $crate::host::kernels::Kernel {
            name: concat!($operation, "/", $level, $claims),
            operation: $operation,
            level: $crate::host::CpuLevel::$name,
            build: |step| {
                let packing = concat!($operation, "/", $level);
                $build(step, packing, $tiles, $crate::host::kernels::gemm::product::$claim)
            },
        }
    };
}
pub(crate) use products;
