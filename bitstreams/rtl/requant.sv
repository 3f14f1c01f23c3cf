// From an integer sum to 8 bits, one result a clock, 21 clocks later (without additions, 14). The contract's f32 operations, each rounded once:
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
  logic [30:0] k2;
  logic [1:0] by2;
  always_ff @(posedge clk) begin
    s2 <= s1;
    n2 <= n1 << {by, 3'b0};
    by2 <= by;
    k2 <= k1;
  end
  // 3: normalise by bits
  logic [2:0] bi;
  always_comb
    casez (n2[31:25])
      7'b1??????: bi = 3'd0;
      7'b01?????: bi = 3'd1;
      7'b001????: bi = 3'd2;
      7'b0001???: bi = 3'd3;
      7'b00001??: bi = 3'd4;
      7'b000001?: bi = 3'd5;
      7'b0000001: bi = 3'd6;
      default: bi = 3'd7;
    endcase
  logic s3;
  logic [31:0] n3;
  logic [22:0] k3;
  logic signed [9:0] e3;
  always_ff @(posedge clk) begin
    s3 <= s2;
    n3 <= n2 << bi;
    k3 <= k2[22:0];
    e3 <= 10'sd31 - $signed({5'b0, by2, bi}) + $signed({2'b0, k2[30:23]}) - 10'sd127;
  end
  // 4: f32(acc): 24 bits, to nearest even
  wire up3 = n3[7] & (|n3[6:0] | n3[8]);
  wire [24:0] r3 = {1'b0, n3[31:8]} + {24'b0, up3};
  logic s4, z4;
  logic [23:0] f4, k4;
  logic signed [9:0] e4;
  always_ff @(posedge clk) begin
    s4 <= s3;
    z4 <= ~n3[31];
    f4 <= r3[24] ? 24'h800000 : r3[23:0];
    k4 <= {1'b1, k3};
    e4 <= e3 + $signed({9'b0, r3[24]});
  end
  // 5 to 8: the exact product, 48 bits, in [1, 4) * 2^46
  logic [23:0] ll6, lh6, hl6, hh6, ll7, hh7;
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_ll (.clk, .a(f4[11:0]), .b(k4[11:0]), .p(ll6));
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_lh (.clk, .a(f4[11:0]), .b(k4[23:12]), .p(lh6));
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_hl (.clk, .a(f4[23:12]), .b(k4[11:0]), .p(hl6));
  multiplier #(.A(12), .B(12), .SIGNED(0)) u_hh (.clk, .a(f4[23:12]), .b(k4[23:12]), .p(hh6));
  logic [24:0] x7;
  logic [47:0] p8;
  always_ff @(posedge clk) begin
    ll7 <= ll6;
    hh7 <= hh6;
    x7 <= {1'b0, lh6} + {1'b0, hl6};
    p8 <= {hh7, ll7} + {11'b0, x7, 12'b0};
  end
  logic s7, z7;
  logic signed [9:0] e7;
  delay #(.W(12), .LAT(3)) u_e7 (.clk, .d({s4, z4, e4}), .q({s7, z7, e7}));

  // 9 to 16: of an addition, t joins the exact product
  logic sp, zp, any;  // any: of the bits that are behind a half in any case
  logic signed [9:0] ep;
  logic [47:22] pp;
  generate
    if (ADD) begin : g_add
      logic sa, za, sc, zc;
      logic signed [9:0] ea, ec;
      logic [47:0] pa, pc;
      logic [31:0] t7;
      delay #(.W(32), .LAT(7)) u_t (.clk, .d(t), .q(t7));
      joined u_joined (.clk, .p(p8), .e(e7), .sign(s7), .is_zero(z7), .t(t7), .sum(pa), .sum_e(ea), .sum_sign(sa), .sum_zero(za));
      delay #(.W(12), .LAT(8)) u_ec (.clk, .d({s7, z7, e7}), .q({sc, zc, ec}));
      delay #(.W(48), .LAT(7)) u_pc (.clk, .d(p8), .q(pc));
      always_ff @(posedge clk) begin
        {sp, zp, ep, pp} <= add ? {sa, za, ea, pa[47:22]} : {sc, zc, ec, pc[47:22]};
        any <= add ? |pa[21:0] : |pc[21:0];
      end
    end else begin : g_no_add
      wire unused = &{1'b0, add, t};
      logic s8, z8;
      logic signed [9:0] e8;
      always_ff @(posedge clk) begin
        {s8, z8, e8} <= {s7, z7, e7};
        {sp, zp, ep, pp} <= {s8, z8, e8, p8[47:22]};
        any <= |p8[21:0];
      end
    end
  endgenerate

  // 17: the product or sum as f32: 24 bits, to nearest even
  wire [23:0] keep = pp[47] ? pp[47:24] : pp[46:23];
  wire half = pp[47] ? pp[23] : pp[22];
  wire rest = any | (pp[47] & pp[22]);
  wire [24:0] r17 = {1'b0, keep} + {24'b0, half & (rest | keep[0])};
  logic s17, z17;
  logic [23:0] f17;
  logic signed [9:0] e17;
  always_ff @(posedge clk) begin
    s17 <= sp;
    z17 <= zp;
    f17 <= r17[24] ? 24'h800000 : r17[23:0];
    e17 <= ep + $signed({9'b0, pp[47]}) + $signed({9'b0, r17[24]});
  end
  // 18: its integer part and what is behind the point; 2^9 and beyond saturates, less than a half is 0
  wire [3:0] by18 = 4'd8 - e17[3:0];  // e17 of 8..-1 becomes 0..9
  logic s18;
  logic [33:0] i18;
  always_ff @(posedge clk) begin
    s18 <= s17;
    i18 <= z17 || e17 < -10'sd1 ? 34'd0 : e17 > 10'sd8 ? {9'd511, 25'd0} : {f17, 10'b0} >> by18;
  end
  // 19: rint
  logic s19;
  logic [9:0] i19;
  always_ff @(posedge clk) begin
    s19 <= s18;
    i19 <= {1'b0, i18[33:25]} + {9'b0, i18[24] & (|i18[23:0] | i18[25])};
  end
  // 20: the zero point; 21: the bounds
  logic signed [11:0] v20;
  always_ff @(posedge clk) begin
    v20 <= (s19 ? -$signed({2'b0, i19}) : $signed({2'b0, i19})) + 12'(zero);
    q <= v20 < 12'(lo) ? lo : v20 > 12'(hi) ? hi : v20[7:0];
  end
endmodule
