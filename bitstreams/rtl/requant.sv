// From an integer sum to 8 bits, one result a clock, 23 clocks later (without additions, 16). The contract's f32 operations, each rounded once:
//   q = clamp(rint(f32(acc) * scale) + zero)                  add = 0
//   q = clamp(rint(fma(f32(acc), scale, t)) + zero)           add = 1
// rint rounds half to even. `scale` is a positive normal number below 2^7; the product of an addition is at least 2^-40 in its
// last place and, like `t`, below 2^14. Results outside -512..=511 saturate before the zero point is added.
module requant #(
  parameter bit ADD = 1  // whether `add` can be 1
) (
  input  logic clk,
  input  logic signed [31:0] acc,
  input  logic [31:0] scale,
  input  logic add,
  input  logic [31:0] t,
  input  logic signed [7:0] zero, lo, hi,
  output logic signed [7:0] q
);
  // 1: sign and magnitude
  logic s1;
  logic [31:0] n1;
  logic [30:0] k1;  // the sign is never set
  always_ff @(posedge clk) begin
    s1 <= acc[31];
    n1 <= acc[31] ? -acc : acc;
    k1 <= scale[30:0];
  end
  wire unused_sign = scale[31];
  // 2: normalise by bytes
  wire [1:0] by = n1[31:24] != 0 ? 2'd0 : n1[23:16] != 0 ? 2'd1 : n1[15:8] != 0 ? 2'd2 : 2'd3;
  logic s2;
  logic [31:0] n2;
  logic [22:0] k2;
  logic signed [9:0] e2;  // of a sum whose first bit is bit 31
  logic [1:0] by2;
  always_ff @(posedge clk) begin
    s2 <= s1;
    n2 <= n1 << {by, 3'b0};
    by2 <= by;
    k2 <= k1[22:0];
    e2 <= $signed({2'b0, k1[30:23]}) - 10'sd96;
  end
  // 3: normalise by twos
  wire [1:0] bi = n2[31:30] != 0 ? 2'd0 : n2[29:28] != 0 ? 2'd1 : n2[27:26] != 0 ? 2'd2 : 2'd3;
  logic s3;
  logic [31:0] n3;
  logic [22:0] k3;
  logic signed [9:0] e3;
  always_ff @(posedge clk) begin
    s3 <= s2;
    n3 <= n2 << {bi, 1'b0};
    k3 <= k2;
    e3 <= e2 - $signed({5'b0, by2, bi, 1'b0});
  end
  // 4: normalise by the last bit
  logic s4;
  logic [31:0] n4;
  logic [22:0] k4;
  logic signed [9:0] e4;
  always_ff @(posedge clk) begin
    s4 <= s3;
    n4 <= n3[31] ? n3 : n3 << 1;
    k4 <= k3;
    e4 <= n3[31] ? e3 : e3 - 10'sd1;
  end
  // 5: f32(acc): 24 bits, to nearest even. Where rounding carries, all other bits are zero.
  wire up4 = n4[7] & (|n4[6:0] | n4[8]);
  wire [24:0] r4 = {1'b0, n4[31:8]} + {24'b0, up4};
  logic s5, z5;
  logic [23:0] f5, k5;
  logic signed [9:0] e5;
  always_ff @(posedge clk) begin
    s5 <= s4;
    z5 <= ~n4[31];
    f5 <= {r4[24] | r4[23], r4[22:0]};
    k5 <= {1'b1, k4};
    e5 <= r4[24] ? e4 + 10'sd1 : e4;
  end
  // 6 to 9: the exact product, 48 bits, in [1, 4) * 2^46
  logic [23:0] ll7, lh7, hl7, hh7, ll8, hh8;
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_ll (.clk, .a(f5[11:0]), .b(k5[11:0]), .p(ll7));
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_lh (.clk, .a(f5[11:0]), .b(k5[23:12]), .p(lh7));
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_hl (.clk, .a(f5[23:12]), .b(k5[11:0]), .p(hl7));
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_hh (.clk, .a(f5[23:12]), .b(k5[23:12]), .p(hh7));
  logic [24:0] x8;
  logic [47:0] p9;
  always_ff @(posedge clk) begin
    ll8 <= ll7;
    hh8 <= hh7;
    x8 <= {1'b0, lh7} + {1'b0, hl7};
    p9 <= {hh8, ll8} + {11'b0, x8, 12'b0};
  end
  logic s8, z8;
  logic signed [9:0] e8;
  delay #(.W(12), .LAT(3)) u_e8 (.clk, .d({s5, z5, e5}), .q({s8, z8, e8}));

  // 10 to 17: of an addition, t joins the exact product
  logic sp, zp, any;  // any: of the bits that are behind a half in any case
  logic signed [9:0] ep;
  logic [47:22] pp;
  generate
    if (ADD) begin : g_add
      logic sa, za, sc, zc;
      logic signed [9:0] ea, ec;
      logic [47:0] pa, pc;
      logic [31:0] t8;
      delay #(.W(32), .LAT(8)) u_t (.clk, .d(t), .q(t8));
      joined u_joined (.clk, .p(p9), .e(e8), .sign(s8), .is_zero(z8), .t(t8), .sum(pa), .sum_e(ea), .sum_sign(sa), .sum_zero(za));
      delay #(.W(12), .LAT(8)) u_ec (.clk, .d({s8, z8, e8}), .q({sc, zc, ec}));
      delay #(.W(48), .LAT(7)) u_pc (.clk, .d(p9), .q(pc));
      always_ff @(posedge clk) begin
        {sp, zp, ep, pp} <= add ? {sa, za, ea, pa[47:22]} : {sc, zc, ec, pc[47:22]};
        any <= add ? |pa[21:0] : |pc[21:0];
      end
    end else begin : g_no_add
      wire unused = &{1'b0, add, t};
      logic s9, z9;
      logic signed [9:0] e9;
      always_ff @(posedge clk) begin
        {s9, z9, e9} <= {s8, z8, e8};
        {sp, zp, ep, pp} <= {s9, z9, e9, p9[47:22]};
        any <= |p9[21:0];
      end
    end
  endgenerate

  // 18: the product or sum as f32: 24 bits, to nearest even
  wire [23:0] keep = pp[47] ? pp[47:24] : pp[46:23];
  wire half = pp[47] ? pp[23] : pp[22];
  wire rest = any | (pp[47] & pp[22]);
  wire [24:0] r18 = {1'b0, keep} + {24'b0, half & (rest | keep[0])};
  logic s18, z18;
  logic [23:0] f18;
  logic signed [9:0] e18;
  wire signed [9:0] ep18 = ep + $signed({9'b0, pp[47]}), ep18_next = ep + (pp[47] ? 10'sd2 : 10'sd1);
  always_ff @(posedge clk) begin
    s18 <= sp;
    z18 <= zp;
    f18 <= {r18[24] | r18[23], r18[22:0]};
    e18 <= r18[24] ? ep18_next : ep18;
  end
  // 19, 20: its integer part and what is behind the point, by fours, then by ones; 2^9 and beyond saturates, less than a half is 0
  wire [3:0] by18 = 4'd8 - e18[3:0];  // e18 of 8..-1 becomes 0..9
  logic s19, z19, large19;
  logic [1:0] by19;
  logic [33:0] i19;
  logic s20, rest20;  // rest20: of bits that were behind the point before the last shift, without the half
  logic [33:21] i20;
  always_ff @(posedge clk) begin
    s19 <= s18;
    z19 <= z18 || e18 < -10'sd1;
    large19 <= e18 > 10'sd8;
    by19 <= by18[1:0];
    i19 <= {f18, 10'b0} >> {by18[3:2], 2'b0};
    s20 <= s19;
    i20 <= z19 ? 13'd0 : large19 ? {9'd511, 4'd0} : shifted19[33:21];
    rest20 <= |i19[23:0] & ~z19 & ~large19;
  end
  wire [33:0] shifted19 = i19 >> by19;
  wire unused_low = &{1'b0, shifted19[20:0]};
  // 21: rint
  logic s21;
  logic [9:0] i21;
  always_ff @(posedge clk) begin
    s21 <= s20;
    i21 <= {1'b0, i20[33:25]} + {9'b0, i20[24] & (rest20 | (|i20[23:21]) | i20[25])};
  end
  // 22: the zero point; 23: the bounds
  logic signed [11:0] v22;
  wire [12:0] moved = {12'(zero), 1'b1} + {{2'b0, i21} ^ {12{s21}}, s21};  // -n = ~n + 1
  wire unused_carry = moved[0];
  always_ff @(posedge clk) begin
    v22 <= moved[12:1];
    q <= v22 < 12'(lo) ? lo : v22 > 12'(hi) ? hi : v22[7:0];
  end
endmodule
