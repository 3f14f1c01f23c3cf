// iCE40's small cells as the synthesizer's own, which it writes as expressions: a netlist of them is compiled in seconds, and one of
// cells in minutes. Memories and multipliers keep the synthesizer's models.
module SB_LUT4(output O, input I0, I1, I2, I3);
  parameter [15:0] LUT_INIT = 0;
  \$lut #(.WIDTH(4), .LUT(LUT_INIT)) u (.A({I3, I2, I1, I0}), .Y(O));
endmodule
module SB_CARRY(output CO, input I0, I1, CI);
  assign CO = (I0 & I1) | ((I0 | I1) & CI);
endmodule
module SB_DFF(output Q, input C, D);
  \$_DFF_P_ u (.C, .D, .Q);
endmodule
module SB_DFFE(output Q, input C, E, D);
  \$_DFFE_PP_ u (.C, .D, .E, .Q);
endmodule
module SB_DFFSR(output Q, input C, R, D);
  \$_SDFF_PP0_ u (.C, .D, .R, .Q);
endmodule
module SB_DFFSS(output Q, input C, S, D);
  \$_SDFF_PP1_ u (.C, .D, .R(S), .Q);
endmodule
module SB_DFFESR(output Q, input C, E, R, D);
  \$_SDFFCE_PP0P_ u (.C, .D, .R, .E, .Q);
endmodule
module SB_DFFESS(output Q, input C, E, S, D);
  \$_SDFFCE_PP1P_ u (.C, .D, .R(S), .E, .Q);
endmodule
